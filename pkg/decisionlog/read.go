package decisionlog

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/imagefit/imagefit/pkg/policy"
)

// maxRead bounds what is read of one file while another process appends to it.
const maxRead = 4 * maxFile

// Filter selects records. An empty field matches all.
type Filter struct {
	Since     time.Time
	Action    policy.Action // what was done, or would have been done
	Program   string
	Namespace string
	Pod       string
	Reference string // a part of the reference
	Reason    policy.Reason
}

// Match reports whether the filter selects the record.
func (f Filter) Match(r Record) bool {
	is := func(want, have string) bool { return want == "" || want == have }
	return !r.Time.Before(f.Since) &&
		(f.Action == "" || f.Action == r.Action || f.Action == r.Would) &&
		(f.Reason == "" || f.Reason == r.ReasonCode) &&
		is(f.Program, r.Program) && is(f.Namespace, r.Namespace) && is(f.Pod, r.Pod) &&
		strings.Contains(r.Reference, f.Reference)
}

// Read returns the records that the filter selects, the oldest first. Damaged
// lines are skipped. A log without a file is empty.
func (l *Log) Read(f Filter) ([]Record, error) {
	found, t, err := l.tail(f)
	t.close()
	return found, err
}

// open opens the existing files and returns the older one first. It opens the
// newer one first, so that a rotation in between loses nothing.
func (l *Log) open() (files []*os.File, err error) {
	for _, name := range []string{file, rotated} {
		f, err := openFile(filepath.Join(l.dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return files, fmt.Errorf("read the decision log: %w", err)
		}
		if len(files) == 1 && sameFile(files[0], f) {
			_ = f.Close()
			break
		}
		files = append([]*os.File{f}, files...)
	}
	return files, nil
}

// openFile does not block on a pipe.
func openFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

func sameFile(a, b *os.File) bool {
	first, errA := a.Stat()
	second, errB := b.Stat()
	return errA == nil && errB == nil && os.SameFile(first, second)
}

// lines yields the records of the complete lines after at, until yield returns
// false, and returns where the next line begins.
func lines(f *os.File, at int64, yield func(Record) bool) (int64, error) {
	whole, err := scan(io.NewSectionReader(f, at, maxRead), yield)
	if err != nil {
		err = fmt.Errorf("read %s: %w", f.Name(), err)
	}
	return at + whole, err
}

// scan returns the size of the lines that it read.
func scan(in io.Reader, yield func(Record) bool) (whole int64, err error) {
	reader := bufio.NewReaderSize(in, maxLine)
	for length, long := int64(0), false; ; {
		line, err := reader.ReadSlice('\n')
		length += int64(len(line))
		switch {
		case errors.Is(err, bufio.ErrBufferFull): // longer than any record
			long = true
			continue
		case errors.Is(err, io.EOF):
			return whole, nil // what follows the last newline is incomplete
		case err != nil:
			return whole, err
		}
		whole += length
		var r Record
		damaged := long || json.Unmarshal(line, &r) != nil || r.Time.IsZero()
		if !damaged && !yield(r.Bounded()) {
			return whole, nil
		}
		length, long = 0, false
	}
}
