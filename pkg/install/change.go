package install

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/internal/fsutil"
)

// change is what becomes of one file.
type change struct {
	path     string
	kubelet  bool
	from, to *content // nil where there is none
}

// ConflictError is that someone else changed files of imagefit, or has files where imagefit
// would write.
type ConflictError struct {
	Diffs []string // of what imagefit wrote and what is there, or of what is there
}

// Error implements error.
func (c *ConflictError) Error() string {
	return fmt.Sprintf("%d files are not as imagefit wrote them; nothing was changed. Put them back, or use --force to overwrite them:\n%s",
		len(c.Diffs), strings.Join(c.Diffs, ""))
}

// changes compares what is there with what is wanted, and returns the state that follows.
// Files of others are never in it. With force, neither is a conflict.
func (t tree) changes(s state, files []File, force bool) (all []change, next state, err error) {
	next = s
	next.Entries = nil
	conflict := &ConflictError{}
	for _, f := range files {
		want, wantErr := f.wanted()
		have, haveErr := t.now(f.Path)
		if err := errors.Join(wantErr, haveErr); err != nil {
			return nil, s, err
		}
		e := entry{Path: f.Path, Kubelet: f.Kubelet, Written: *want}
		known := s.entry(f.Path)
		switch {
		case known == nil && have.same(want) && !f.Changed:
			continue // someone else's
		case known == nil && f.Changed:
			e.Original = have
		case known == nil && have != nil && !force:
			conflict.Diffs = append(conflict.Diffs, Diff(f.Path, f.Path+" (as imagefit would write it)", have.text(), want.text()))
		case known != nil:
			e.Original, e.Previous = known.Original, have
			if !known.left(have) && !have.same(want) && !force {
				conflict.Diffs = append(conflict.Diffs, known.diff(have))
			}
		}
		if next.Entries = append(next.Entries, e); !have.same(want) {
			all = append(all, change{f.Path, f.Kubelet, have, want})
		}
	}
	for _, e := range slices.Backward(s.Entries) {
		if slices.ContainsFunc(files, func(f File) bool { return f.Path == e.Path }) {
			continue
		}
		have, err := t.now(e.Path)
		if err != nil {
			return nil, s, err
		}
		if have.same(e.Original) {
			continue
		}
		if !e.left(have) && !force {
			conflict.Diffs = append(conflict.Diffs, e.diff(have))
		}
		all = append(all, change{e.Path, e.Kubelet, have, e.Original})
	}
	if len(conflict.Diffs) > 0 {
		return nil, s, conflict
	}
	return all, next, nil
}

// left tells whether a file is as imagefit left it, also where it stopped in between.
func (e entry) left(have *content) bool {
	return have.same(&e.Written) || have.same(e.Original) || e.Previous != nil && have.same(e.Previous) || have == nil
}

func (e entry) diff(have *content) string {
	return Diff(e.Path+" (as imagefit wrote it)", e.Path, e.Written.text(), have.text())
}

// diff shows a change.
func (c change) diff() string {
	from, to := c.path, c.path
	if c.from == nil {
		from = ""
	}
	if c.to == nil {
		to = ""
	}
	return Diff(from, to, c.from.text(), c.to.text())
}

// do makes a change, in one step.
func (t tree) do(c change) error {
	path := t.path(c.path)
	switch {
	case c.to == nil:
		return os.Remove(path)
	case c.to.Link != "":
		if c.from != nil {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
		return os.Symlink(c.to.Link, path)
	case c.to.Text != nil:
		return fsutil.WriteAtomic(path, fsutil.WriteOptions{Mode: c.to.Mode, Sync: !t.volatile}, fsutil.Bytes([]byte(*c.to.Text)))
	}
	source, err := os.Open(c.to.source)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	return fsutil.WriteAtomic(path, fsutil.WriteOptions{Mode: c.to.Mode, Sync: !t.volatile}, func(w io.Writer) error {
		_, err := io.Copy(w, source)
		return err
	})
}
