package journal

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// followPause is how often Follow looks for more.
const followPause = 200 * time.Millisecond

// Filter picks records. What it leaves empty matches all.
type Filter struct {
	Since     time.Time
	Action    Action
	Program   string
	Namespace string
	Pod       string
	Reference string // a part of the reference
}

// Match reports whether the filter picks the record.
func (f Filter) Match(r Record) bool {
	is := func(want, have string) bool { return want == "" || want == have }
	return !r.Time.Before(f.Since) &&
		(f.Action == "" || f.Action == r.Action || f.Action == r.Would) &&
		is(f.Program, r.Program) && is(f.Namespace, r.Namespace) && is(f.Pod, r.Pod) &&
		strings.Contains(r.Reference, f.Reference)
}

// Read returns the records that the filter picks, the oldest first. Damaged
// lines are passed over. A journal without a file is empty.
func (j *Journal) Read(f Filter) ([]Record, error) {
	var found []Record
	for _, name := range []string{earlier, file} {
		opened, err := os.Open(filepath.Join(j.dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read decisions: %w", err)
		}
		// Another process may write on, but not without end.
		err = scan(io.LimitReader(opened, 4*maxFile), func(r Record) {
			if f.Match(r) {
				found = append(found, r)
			}
		})
		_ = opened.Close()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", opened.Name(), err)
		}
	}
	return found, nil
}

// scan calls each with the records of complete lines.
func scan(in io.Reader, each func(Record)) error {
	reader := bufio.NewReaderSize(in, maxLine)
	for long := false; ; {
		line, err := reader.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull): // no record is so long
			long = true
			continue
		case errors.Is(err, io.EOF):
			return nil // what stands after the last newline is not whole
		case err != nil:
			return err
		}
		if record, ok := parse(line); ok && !long {
			each(record)
		}
		long = false
	}
}

func parse(line []byte) (r Record, ok bool) {
	line = bytes.TrimSpace(line)
	return r, len(line) > 0 && json.Unmarshal(line, &r) == nil && !r.Time.IsZero()
}

// Follow calls each with the records that are appended from now on and that the
// filter picks, until ctx ends or each fails.
func (j *Journal) Follow(ctx context.Context, f Filter, each func(Record) error) error {
	path := filepath.Join(j.dir, file)
	var at int64
	info, err := os.Stat(path)
	if err == nil {
		at = info.Size()
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followPause):
		}
		if info, at, err = j.more(info, at, f, each); err != nil {
			return err
		}
	}
}

// more reads what was appended to the file that info describes after at, and
// then to the file that took its place.
func (j *Journal) more(info fs.FileInfo, at int64, f Filter, each func(Record) error) (fs.FileInfo, int64, error) {
	current, err := os.Stat(filepath.Join(j.dir, file))
	if errors.Is(err, fs.ErrNotExist) {
		return info, at, nil // just rotated, or deleted
	}
	if err != nil {
		return info, at, fmt.Errorf("follow decisions: %w", err)
	}
	if info != nil && !os.SameFile(info, current) {
		if old, err := os.Stat(filepath.Join(j.dir, earlier)); err == nil && os.SameFile(info, old) {
			if _, err := j.from(earlier, at, f, each); err != nil {
				return info, at, err
			}
		}
		at = 0
	}
	if current.Size() < at { // cut off by hand
		at = 0
	}
	at, err = j.from(file, at, f, each)
	return current, at, err
}

// from reads the whole lines after at and returns where the next begins.
func (j *Journal) from(name string, at int64, f Filter, each func(Record) error) (int64, error) {
	opened, err := os.Open(filepath.Join(j.dir, name))
	if err != nil {
		return at, nil //nolint:nilerr // rotated in between: the next round finds it
	}
	defer func() { _ = opened.Close() }()
	text, err := io.ReadAll(io.NewSectionReader(opened, at, 4*maxFile))
	if err != nil {
		return at, fmt.Errorf("follow decisions: %w", err)
	}
	for {
		line, rest, whole := bytes.Cut(text, []byte{'\n'})
		if !whole {
			return at, nil
		}
		at += int64(len(line)) + 1
		text = rest
		if record, ok := parse(line); ok && f.Match(record) {
			if err := each(record); err != nil {
				return at, err
			}
		}
	}
}
