package install

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/imagefit/imagefit/internal/fsutil"
)

// StatePath is the record of what was installed.
const StatePath = "/var/lib/imagefit/install.json"

const stateSchema = 1

// phase is how far an installation got.
type phase string

const (
	changing  phase = "changing" // files are being written
	installed phase = "installed"
	removing  phase = "removing"
)

// state is the record of what was installed, written before each change.
type state struct {
	Schema   int      `json:"schema"`
	Version  string   `json:"version"` // of imagefit
	Phase    phase    `json:"phase"`
	Platform string   `json:"platform"`
	Kubelet  string   `json:"kubelet_unit,omitempty"`
	Entries  []entry  `json:"files"`
	Folders  []string `json:"folders"` // that did not exist, in the order of their creation
}

// entry is a file that imagefit wrote.
type entry struct {
	Path     string   `json:"path"`
	Kubelet  bool     `json:"kubelet,omitempty"`
	Original *content `json:"original,omitempty"` // before imagefit, nil where there was none
	Previous *content `json:"previous,omitempty"` // what imagefit wrote before, while it is replaced
	Written  content  `json:"written"`
}

// content is what a file has.
type content struct {
	Mode fs.FileMode `json:"mode,omitempty"`
	Sum  string      `json:"sha256,omitempty"`
	Link string      `json:"link,omitempty"`
	// Text is the content, of texts only.
	Text *string `json:"text,omitempty"`

	source string // the file to copy
}

func (c *content) same(other *content) bool {
	if c == nil || other == nil {
		return c == other
	}
	return c.Sum == other.Sum && c.Link == other.Link && (c.Link != "" || c.Mode == other.Mode)
}

// text is what a diff shows.
func (c *content) text() string {
	switch {
	case c == nil:
		return ""
	case c.Link != "":
		return "link to " + c.Link + "\n"
	case c.Text == nil:
		return "program with sha256 " + c.Sum + "\n"
	}
	return *c.Text
}

// wanted is what a file of the plan has to have.
func (f File) wanted() (*content, error) {
	if f.Link != "" {
		return &content{Link: f.Link}, nil
	}
	if f.Source == "" {
		return &content{Mode: f.Mode, Sum: sumOf([]byte(f.Text)), Text: &f.Text}, nil
	}
	source, err := os.Open(f.Source)
	if err != nil {
		return nil, err
	}
	defer func() { _ = source.Close() }()
	hash := sha256.New()
	if _, err := io.Copy(hash, source); err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Source, err)
	}
	return &content{Mode: f.Mode, Sum: hex.EncodeToString(hash.Sum(nil)), source: f.Source}, nil
}

func sumOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// now is what a file has, nil where there is none.
func (t tree) now(path string) (*content, error) {
	info, err := os.Lstat(t.path(path))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil //nolint:nilnil // there is none
	case err != nil:
		return nil, err
	case info.Mode().Type() == fs.ModeSymlink:
		to, err := os.Readlink(t.path(path))
		return &content{Link: to}, err
	case !info.Mode().IsRegular():
		return nil, &fs.PathError{Op: "replace", Path: path, Err: fsutil.ErrNotRegular}
	}
	c, err := File{Source: t.path(path), Mode: info.Mode().Perm()}.wanted()
	if err != nil || info.Size() > maxRead {
		return c, err
	}
	text, err := fsutil.ReadFile(t.path(path), maxRead)
	if err == nil && !bytes.ContainsRune(text, 0) {
		shown := string(text)
		c.Text = &shown
	}
	return c, err
}

// load reads the state. One that does not exist is that of a node without imagefit.
func (t tree) load() (state, error) {
	s := state{Schema: stateSchema}
	text, err := fsutil.ReadFile(t.path(StatePath), 16*maxRead)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return s, fmt.Errorf("read what was installed: %w", err)
	}
	if s.Schema != stateSchema {
		return s, fmt.Errorf("%s has version %d, want %d: use the imagefit that wrote it", StatePath, s.Schema, stateSchema)
	}
	return s, nil
}

func (t tree) save(s state) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	path := t.path(StatePath)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return fsutil.WriteAtomic(path, fsutil.WriteOptions{Mode: 0o600, Sync: !t.volatile}, fsutil.Bytes(append(text, '\n')))
}

func (s state) entry(path string) *entry {
	for i := range s.Entries {
		if s.Entries[i].Path == path {
			return &s.Entries[i]
		}
	}
	return nil
}

// view is the tree without what imagefit wrote.
func (t tree) view(s state) tree {
	t.own, t.before = map[string]bool{StatePath: true}, map[string]string{}
	for _, e := range s.Entries {
		if e.Original != nil && e.Original.Text != nil {
			t.before[e.Path] = *e.Original.Text
			continue
		}
		t.own[e.Path] = true
	}
	return t
}

// ErrLocked is that another imagefit is at it.
var ErrLocked = errors.New("another imagefit install or uninstall is running on this node")

// lock keeps others out until it is released, or the process ends. It may wait for the
// one that is at it.
func (t tree) lock(wait bool) (release func(), err error) {
	folder, err := os.Open(t.root)
	if err != nil {
		return nil, fmt.Errorf("open --root: %w", err)
	}
	if err := fsutil.Lock(folder, wait); err != nil {
		_ = folder.Close()
		if errors.Is(err, fsutil.ErrLocked) {
			return nil, ErrLocked
		}
		return nil, fmt.Errorf("lock %s: %w", t.root, err)
	}
	return func() { _ = folder.Close() }, nil
}
