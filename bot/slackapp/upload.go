package slackapp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slack-go/slack"
)

// uploadWithin bounds the wait for an uploaded picture to become usable.
const uploadWithin = 45 * time.Second

// UploadPNG stores a picture with Slack and returns its file id once a message
// may show it. alt is its description in words. The file belongs to no channel:
// it lives in the messages that show it, see [Picture].
func (a *App) UploadPNG(ctx context.Context, name, alt string, png []byte) (fileID string, err error) {
	if len(png) == 0 || alt == "" {
		return "", fmt.Errorf("upload %s: empty picture or description", name)
	}
	ctx, cancel := context.WithTimeout(ctx, uploadWithin)
	defer cancel()
	id, err := a.upload(ctx, name, alt, png)
	if err != nil {
		return "", fmt.Errorf("upload %s: %w", name, err)
	}
	if err := a.awaitFile(ctx, id); err != nil {
		return "", fmt.Errorf("upload %s: %w", name, err)
	}
	return id, nil
}

// upload goes through Slack's three steps. Repeating any of them makes at worst
// an unused file.
func (a *App) upload(ctx context.Context, name, alt string, png []byte) (string, error) {
	var slot *slack.GetUploadURLExternalResponse
	err := a.call(ctx, request{method: "files.getUploadURLExternal", repeatable: true}, func(ctx context.Context) (err error) {
		slot, err = a.api.GetUploadURLExternalContext(ctx, slack.GetUploadURLExternalParameters{
			FileName: name, FileSize: len(png), AltTxt: cut(alt, 1000)})
		return err
	})
	if err != nil {
		return "", err
	}
	err = a.call(ctx, request{method: "files.upload", repeatable: true}, func(ctx context.Context) error {
		return a.api.UploadToURL(ctx, slack.UploadToURLParameters{
			UploadURL: slot.UploadURL, Reader: bytes.NewReader(png), Filename: name})
	})
	if err != nil {
		return "", err
	}
	err = a.call(ctx, request{method: "files.completeUploadExternal", repeatable: true}, func(ctx context.Context) error {
		_, err := a.api.CompleteUploadExternalContext(ctx, slack.CompleteUploadExternalParameters{
			Files: []slack.FileSummary{{ID: slot.FileID, Title: name}}})
		return err
	})
	return slot.FileID, err
}

// awaitFile polls until the file has a type and a size: the last step of an
// upload answers before the file can be used.
func (a *App) awaitFile(ctx context.Context, id string) error {
	for wait := 200 * time.Millisecond; ; wait = min(2*wait, 3*time.Second) {
		var f *slack.File
		err := a.call(ctx, request{method: "files.info", repeatable: true}, func(ctx context.Context) (err error) {
			f, _, _, err = a.api.GetFileInfoContext(ctx, id, 0, 0)
			return err
		})
		// A file just completed may not be known yet.
		var e *Error
		if err != nil && !(errors.As(err, &e) && e.Code == "file_not_found") {
			return err
		}
		if err == nil && f.Mimetype != "" && f.Size > 0 {
			return nil
		}
		if !sleep(ctx, wait) {
			return fmt.Errorf("file %s not ready: %w", id, ctx.Err())
		}
	}
}

// Picture is the block that shows an uploaded file.
func Picture(fileID, alt string) slack.Block {
	return &slack.ImageBlock{Type: slack.MBTImage, AltText: cut(alt, 2000),
		SlackFile: &slack.SlackFileObject{ID: fileID}}
}
