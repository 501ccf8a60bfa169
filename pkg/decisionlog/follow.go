package decisionlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// followPause is how often Follow looks for more.
const followPause = 200 * time.Millisecond

// Follow calls each with the latest records that the filter picks, at most as
// many as latest says, then with those that are appended, until ctx ends or each
// fails. Where so much is written that both files are exchanged between two
// looks, what was in between is passed over.
func (j *Journal) Follow(ctx context.Context, f Filter, latest int, each func(Record) error) error {
	var found []Record
	t, err := j.tail(func(r Record) bool {
		if f.Match(r) {
			found = append(found, r)
		}
		return true
	})
	if err != nil {
		return err
	}
	defer t.close()
	var failed error
	yield := func(r Record) bool {
		if failed == nil && f.Match(r) {
			failed = each(r)
		}
		return failed == nil
	}
	for _, r := range found[max(0, len(found)-latest):] {
		if !yield(r) {
			return failed
		}
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followPause):
		}
		if err := t.more(yield); err != nil || failed != nil {
			return errors.Join(failed, err)
		}
	}
}

// tail is the place up to which the journal was read.
type tail struct {
	path string
	file *os.File // nil where there was none yet
	at   int64
	left bool // file was moved away at the last look
}

// tail reads what is there and returns the place where more will follow.
func (j *Journal) tail(yield func(Record) bool) (*tail, error) {
	last, at, err := j.readAll(yield)
	return &tail{path: filepath.Join(j.dir, file), file: last, at: at}, err
}

// more reads what was appended since the last look.
func (t *tail) more(yield func(Record) bool) error {
	if t.file != nil {
		if err := t.rest(yield); err != nil {
			return err
		}
	}
	current, err := openFile(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // just moved, or deleted
	}
	if err != nil {
		return fmt.Errorf("follow decisions: %w", err)
	}
	if t.file != nil && sameFile(t.file, current) {
		return current.Close()
	}
	if t.file != nil && !t.left { // somebody who opened it before may write to it still
		t.left = true
		return current.Close()
	}
	t.close()
	t.file, t.at, t.left = current, 0, false
	return t.rest(yield)
}

func (t *tail) rest(yield func(Record) bool) error {
	info, err := t.file.Stat()
	if err == nil && info.Size() < t.at { // cut off by hand
		t.at = 0
	}
	t.at, err = lines(t.file, t.at, yield)
	return err
}

func (t *tail) close() {
	if t.file != nil {
		_ = t.file.Close()
	}
}
