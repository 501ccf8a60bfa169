package decisionlog

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/secret"
)

const (
	file    = "decisions.jsonl"
	earlier = "decisions.1.jsonl"

	// maxFile is the size from which a file makes room for the next. Two are
	// kept, some ten thousand decisions.
	maxFile = 4 << 20
	// maxText bounds each text of a record.
	maxText = 1 << 10
	// maxCases bounds the cases of a record; there are fewer keys.
	maxCases = 16
	// maxLine bounds what is read of one line; a record is shorter.
	maxLine = 64 << 10
)

// Journal appends to the file in a folder. Any number of processes may do so at
// the same time. Nothing is kept open: the file may be deleted at any time.
type Journal struct {
	dir string
	max int64
}

// Open returns the journal in a folder, which need not exist yet.
func Open(dir string) *Journal { return &Journal{dir: dir, max: maxFile} }

// Append adds a record.
func (j *Journal) Append(r Record) error {
	line, err := json.Marshal(r.Bounded())
	if err != nil {
		return fmt.Errorf("encode decision: %w", err)
	}
	f, err := j.openToAppend()
	if err != nil {
		return fmt.Errorf("keep decision: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("keep decision: %w", err)
	}
	line = append(line, '\n')
	if size := info.Size(); size > 0 { // a full disk may have cut the last line off
		var last [1]byte
		if _, err := f.ReadAt(last[:], size-1); err == nil && last[0] != '\n' {
			line = append([]byte{'\n'}, line...)
		}
	}
	if _, err := f.Write(line); err != nil {
		return fmt.Errorf("keep decision: %w", err)
	}
	if info.Size()+int64(len(line)) < j.max {
		return nil
	}
	return j.rotate(f, info)
}

// openToAppend makes the folder again where somebody removed it.
func (j *Journal) openToAppend() (*os.File, error) {
	const flags = os.O_CREATE | os.O_RDWR | os.O_APPEND | unix.O_NONBLOCK // nobody's pipe may hold up a pull
	path := filepath.Join(j.dir, file)
	f, err := os.OpenFile(path, flags, 0o600)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if err := os.MkdirAll(j.dir, 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(path, flags, 0o600)
}

// rotate moves the file out of the way, unless another process does or just did.
// It waits for nobody: a pull is waiting for it.
func (j *Journal) rotate(f *os.File, info fs.FileInfo) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	current, err := os.Stat(f.Name())
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(current, info) {
		return nil
	}
	if err := os.Rename(f.Name(), filepath.Join(j.dir, earlier)); err != nil {
		return fmt.Errorf("rotate decisions: %w", err)
	}
	return nil
}

// Bounded cuts texts that a client or a registry had a hand in, and takes out of
// their URLs what may be a credential.
func (r Record) Bounded() Record {
	for _, s := range []*string{
		&r.Program, (*string)(&r.Action), (*string)(&r.Would), &r.Mode,
		&r.Reference, &r.Namespace, &r.Pod, &r.Container, &r.Choice, &r.Manifest, &r.Image, &r.Reason, &r.Error,
	} {
		*s = bounded(*s)
	}
	if len(r.Cases) > maxCases {
		r.Cases = r.Cases[:maxCases]
	}
	for i, c := range r.Cases {
		if tooLong(c) {
			r.Cases = slices.Clone(r.Cases) // they are the caller's
			r.Cases[i] = policy.Case{Key: bounded(c.Key), Answer: bounded(c.Answer)}
		}
	}
	return r
}

func tooLong(c policy.Case) bool { return len(c.Key) > maxText || len(c.Answer) > maxText }

func bounded(text string) string {
	// A URL must not be cut in two before its user or query is gone, so what could
	// be half of one is left out.
	if len(text) > maxLine {
		text = text[:maxLine]
		text = text[:strings.LastIndexAny(text, " \t\n")+1]
	}
	return textutil.Cut(secret.Strip(text), maxText)
}
