package alert

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Webhook posts JSON that its receiver can tell to be ours, by the Standard
// Webhooks specification (version 1 signatures), so that receivers need no
// code of their own to check it.
type Webhook struct {
	URL    string
	Secret []byte // see [Secret]
	Client *http.Client
}

// The headers of a call.
const (
	HeaderID        = "webhook-id"        // the same for the same news, however often it is sent
	HeaderTimestamp = "webhook-timestamp" // seconds since 1970, of this try
	HeaderSignature = "webhook-signature" // "v1," and the base64 of the HMAC
)

// Secret reads a webhook's secret as people write it: whsec_ and base64, or
// any other text as it is. It needs 16 bytes at least.
func Secret(text string) ([]byte, error) {
	secret := []byte(text)
	if coded, ok := strings.CutPrefix(text, "whsec_"); ok {
		var err error
		if secret, err = base64.StdEncoding.DecodeString(coded); err != nil {
			return nil, fmt.Errorf("what follows whsec_ is not base64")
		}
	}
	if len(secret) < 16 {
		return nil, fmt.Errorf("is shorter than 16 bytes")
	}
	return secret, nil
}

// Sign returns the signature of a body: HMAC-SHA256 over the id, the time in
// seconds and the body, with full stops between them.
func Sign(secret []byte, id string, at time.Time, body []byte) string {
	h := hmac.New(sha256.New, secret)
	fmt.Fprintf(h, "%s.%d.%s", id, at.Unix(), body)
	return "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// hook is the body of a call.
type hook struct {
	Type      string    `json:"type"` // alert.firing or alert.resolved
	Timestamp time.Time `json:"timestamp"`
	Data      Alert     `json:"data"`
}

// Name implements [Endpoint].
func (w Webhook) Name() string { return "webhook" }

// Refresh implements [Endpoint].
func (w Webhook) Refresh() time.Duration { return 0 }

// Send implements [Endpoint].
func (w Webhook) Send(ctx context.Context, d Due) error {
	body, err := json.Marshal(hook{Type: "alert." + status(d), Timestamp: d.Changed.UTC(), Data: d.Alert})
	if err != nil {
		return fmt.Errorf("write the alert: %w", err)
	}
	// Versions begin anew once an alert was forgotten: the time is in the id, too.
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", d.Alert.Key, d.Changed.Unix()))
	id, now := fmt.Sprintf("msg_%s_%d", hex.EncodeToString(sum[:8]), d.Version), time.Now()
	return post(ctx, w.Client, w.URL, body, map[string]string{HeaderID: id,
		HeaderTimestamp: strconv.FormatInt(now.Unix(), 10), HeaderSignature: Sign(w.Secret, id, now, body)})
}

func status(d Due) string {
	if d.Firing {
		return "firing"
	}
	return "resolved"
}
