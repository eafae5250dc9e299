package shell

import (
	"bytes"
	"io/fs"
	"strings"
	"time"
)

// tree is the files of an answer by path, without the leading slash. One that
// is nil is there and may not be read.
type tree map[string][]byte

// Proc is the droplet's /proc as far as the answer tells of it.
func (a Answer) Proc() fs.FS { return below{a.tree, "proc/"} }

// Cgroup is its /sys/fs/cgroup.
func (a Answer) Cgroup() fs.FS { return below{a.tree, "sys/fs/cgroup/"} }

// below is a folder of a tree.
type below struct {
	tree
	prefix string
}

// Open implements [fs.FS].
func (b below) Open(name string) (fs.File, error) {
	content, ok := b.tree[b.prefix+name]
	switch {
	case !fs.ValidPath(name) || !ok:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	case content == nil:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return file{bytes.NewReader(content), entry{name, false}}, nil
}

// ReadDir implements [fs.ReadDirFS].
func (b below) ReadDir(name string) ([]fs.DirEntry, error) {
	dir := b.prefix
	if name != "." {
		dir += name + "/"
	}
	seen := map[string]bool{}
	var out []fs.DirEntry
	for path := range b.tree {
		rest, ok := strings.CutPrefix(path, dir)
		first, _, deep := strings.Cut(rest, "/")
		if ok && !seen[first] {
			seen[first] = true
			out = append(out, fs.FileInfoToDirEntry(entry{first, deep}))
		}
	}
	if len(out) == 0 && name != "." {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	return out, nil
}

// ReadLink implements [fs.ReadLinkFS]: what leads elsewhere says so by its
// content.
func (b below) ReadLink(name string) (string, error) {
	content, ok := b.tree[b.prefix+name]
	if !ok {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrNotExist}
	}
	return string(content), nil
}

// Lstat implements [fs.ReadLinkFS].
func (b below) Lstat(name string) (fs.FileInfo, error) { return fs.Stat(b, name) }

// file is one open file.
type file struct {
	*bytes.Reader
	entry
}

func (f file) Stat() (fs.FileInfo, error) { return f.entry, nil }
func (f file) Close() error               { return nil }
func (f file) Size() int64                { return f.Reader.Size() }

// entry is what a listing tells of a file.
type entry struct {
	name string
	dir  bool
}

func (e entry) Name() string       { return e.name }
func (e entry) Size() int64        { return 0 }
func (e entry) ModTime() time.Time { return time.Time{} }
func (e entry) IsDir() bool        { return e.dir }
func (e entry) Sys() any           { return nil }
func (e entry) Mode() fs.FileMode {
	if e.dir {
		return fs.ModeDir | 0o555
	}
	return 0o444
}
