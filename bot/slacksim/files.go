package slacksim

import (
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"time"
)

// file is an upload on its way or done.
type file struct {
	id, name, title, alt string
	want                 int
	ticket               string
	data                 []byte
	mimetype             string
	completed            time.Time // zero until completeUploadExternal
}

// ready is when a message may show the file. The lock is held.
func (s *Sim) ready(f *file) bool {
	return !s.faults.FilesNeverReady && !f.completed.IsZero() && time.Since(f.completed) >= s.opts.FileDelay
}

func (s *Sim) fileSlot(args object) (object, *apiError) {
	n, err := strconv.Atoi(str(args["length"]))
	name := str(args["filename"])
	if err != nil || n <= 0 || name == "" {
		return nil, fail("invalid_arguments")
	}
	f := &file{id: s.newID("F"), name: name, alt: str(args["alt_txt"]), want: n, ticket: secret()}
	s.files[f.id] = f
	return object{"file_id": f.id, "upload_url": s.url + "/upload/" + f.ticket}, nil
}

// serveUpload takes the bytes, as multipart or raw.
func (s *Sim) serveUpload(w http.ResponseWriter, r *http.Request) {
	data, err := uploaded(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		if f.ticket != r.PathValue("ticket") {
			continue
		}
		e := Entry{Kind: Upload, Name: f.name, ID: f.id}
		if len(data) != f.want {
			e.Error = "wrong length"
			s.note(e)
			http.Error(w, "wrong length", http.StatusBadRequest)
			return
		}
		f.data, f.mimetype = data, http.DetectContentType(data)
		s.note(e)
		io.WriteString(w, "OK - "+strconv.Itoa(len(data)))
		return
	}
	http.NotFound(w, r)
}

func uploaded(r *http.Request) ([]byte, error) {
	kind, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "multipart/form-data" {
		return io.ReadAll(io.LimitReader(r.Body, 64<<20))
	}
	mr := multipart.NewReader(r.Body, params["boundary"])
	for {
		p, err := mr.NextPart()
		if err != nil {
			return nil, err
		}
		if p.FileName() != "" {
			return io.ReadAll(io.LimitReader(p, 64<<20))
		}
	}
}

func (s *Sim) fileComplete(args object) (object, *apiError) {
	var out []any
	for _, v := range list(args["files"]) {
		f, ok := s.files[str(obj(v)["id"])]
		if !ok || f.data == nil {
			return nil, fail("file_not_found")
		}
		f.title = str(obj(v)["title"])
		if f.completed.IsZero() {
			f.completed = time.Now()
		}
		out = append(out, object{"id": f.id, "title": f.title})
	}
	if len(out) == 0 {
		return nil, fail("invalid_arguments")
	}
	return object{"files": out}, nil
}

func (s *Sim) fileInfo(args object) (object, *apiError) {
	f, ok := s.files[str(args["file"])]
	if !ok || f.completed.IsZero() {
		return nil, fail("file_not_found")
	}
	o := object{"id": f.id, "name": f.name, "title": f.title, "mimetype": "", "size": 0, "user": "U0BOT", "alt_txt": f.alt}
	if s.ready(f) {
		o["mimetype"], o["size"] = f.mimetype, len(f.data)
	}
	return object{"file": o}, nil
}

func (s *Sim) fileDelete(args object) (object, *apiError) {
	id := str(args["file"])
	if s.files[id] == nil {
		return nil, fail("file_not_found")
	}
	delete(s.files, id)
	return object{}, nil
}

// File is an uploaded file's bytes and description.
func (s *Sim) File(id string) (data []byte, alt string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.files[id]
	if !ok || f.data == nil {
		return nil, "", false
	}
	return f.data, f.alt, true
}
