package decisionlog

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imagefit/imagefit/pkg/policy"
)

// maxRead bounds what is read of one file: another process may write on, but not
// without end.
const maxRead = 4 * maxFile

// Filter picks records. What it leaves empty matches all.
type Filter struct {
	Since     time.Time
	Action    policy.Action // what was done, or would have been
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
	last, _, err := j.readAll(func(r Record) bool {
		if f.Match(r) {
			found = append(found, r)
		}
		return true
	})
	if last != nil {
		_ = last.Close()
	}
	return found, err
}

// readAll reads both files. It returns the newer, open and at the end of its
// last whole line; nil where there is none.
func (j *Journal) readAll(yield func(Record) bool) (last *os.File, at int64, err error) {
	files, err := j.open()
	for i, f := range files {
		if err == nil {
			at, err = lines(f, 0, yield)
		}
		if i < len(files)-1 || err != nil {
			_ = f.Close()
		} else {
			last = f
		}
	}
	return last, at, err
}

// open opens the files there are, the older first. The newer is opened before
// the older: when it is moved in between it turns up as the older, and nothing
// is lost.
func (j *Journal) open() (files []*os.File, err error) {
	for _, name := range []string{file, earlier} {
		f, err := openFile(filepath.Join(j.dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return files, fmt.Errorf("read decisions: %w", err)
		}
		if len(files) == 1 && sameFile(files[0], f) {
			_ = f.Close()
			break
		}
		files = append([]*os.File{f}, files...)
	}
	return files, nil
}

// openFile does not wait for the other end of a pipe.
func openFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
}

func sameFile(a, b *os.File) bool {
	first, errA := a.Stat()
	second, errB := b.Stat()
	return errA == nil && errB == nil && os.SameFile(first, second)
}

// lines yields the records of the whole lines after at, as long as it may, and
// returns where the next line begins.
func lines(f *os.File, at int64, yield func(Record) bool) (int64, error) {
	whole, err := scan(io.NewSectionReader(f, at, maxRead), yield)
	if err != nil {
		err = fmt.Errorf("read %s: %w", f.Name(), err)
	}
	return at + whole, err
}

// scan returns how many bytes the lines that it read to their end have.
func scan(in io.Reader, yield func(Record) bool) (whole int64, err error) {
	reader := bufio.NewReaderSize(in, maxLine)
	for length, long := int64(0), false; ; {
		line, err := reader.ReadSlice('\n')
		length += int64(len(line))
		switch {
		case errors.Is(err, bufio.ErrBufferFull): // no record is so long
			long = true
			continue
		case errors.Is(err, io.EOF):
			return whole, nil // what stands after the last newline is not whole
		case err != nil:
			return whole, err
		}
		whole += length
		if record, ok := parse(line); ok && !long && !yield(record) {
			return whole, nil
		}
		length, long = 0, false
	}
}

// parse reads a line, whoever wrote it.
func parse(line []byte) (r Record, ok bool) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || json.Unmarshal(line, &r) != nil || r.Time.IsZero() {
		return Record{}, false
	}
	return r.Bounded(), true
}
