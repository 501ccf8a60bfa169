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

// followPause is the interval at which Follow polls.
const followPause = 200 * time.Millisecond

// Follow calls each with the last records that the filter selects, at most
// latest of them, then with those that are appended, until ctx ends or each
// fails. Records are missed if the log is rotated twice between two polls.
func (l *Log) Follow(ctx context.Context, f Filter, latest int, each func(Record) error) error {
	found, t, err := l.tail(f)
	defer t.close()
	if err != nil {
		return err
	}
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

// tail is the position up to which the log was read.
type tail struct {
	path string
	file *os.File // nil before there is one
	at   int64
	left bool // file was rotated at the last poll
}

// tail returns the records that the filter selects, and the position after all.
func (l *Log) tail(f Filter) (found []Record, t *tail, err error) {
	files, err := l.open()
	t = &tail{path: filepath.Join(l.dir, file)}
	for _, file := range files { // the newer one last
		t.close()
		t.file = file
		if err == nil {
			t.at, err = lines(file, 0, func(r Record) bool {
				if f.Match(r) {
					found = append(found, r)
				}
				return true
			})
		}
	}
	return found, t, err
}

// more reads what was appended since the last poll.
func (t *tail) more(yield func(Record) bool) error {
	if t.file != nil {
		if err := t.rest(yield); err != nil {
			return err
		}
	}
	current, err := openFile(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // just rotated, or deleted
	}
	if err != nil {
		return fmt.Errorf("follow the decision log: %w", err)
	}
	if t.file != nil && sameFile(t.file, current) {
		return current.Close()
	}
	if t.file != nil && !t.left { // a process that opened it earlier may still write
		t.left = true
		return current.Close()
	}
	t.close()
	t.file, t.at, t.left = current, 0, false
	return t.rest(yield)
}

func (t *tail) rest(yield func(Record) bool) error {
	info, err := t.file.Stat()
	if err == nil && info.Size() < t.at { // truncated
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
