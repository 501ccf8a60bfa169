package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/pkg/tomlerr"
)

// maxMigrated bounds how many keys of one file are changed.
const maxMigrated = 200

// notKnown is the comment above what a migration has left out.
const notKnown = "# Not known to this version of imagefit:"

// Migration is one file of the configuration and what it becomes for this version.
type Migration struct {
	Path          string
	Before, After string
	Left          []Problem // mistakes that only its author can mend
	mode          fs.FileMode
}

// Changed reports whether the file has to be written.
func (m Migration) Changed() bool { return m.Before != m.After }

// Write writes the file, and what it was before beside it under the name with ".before".
func (m Migration) Write() error {
	before, after := m.Path+".before", fsutil.WriteOptions{Mode: m.mode, Sync: true}
	if err := fsutil.WriteAtomic(before, after, fsutil.Bytes([]byte(m.Before))); err != nil {
		return fmt.Errorf("keep %s: %w", m.Path, err)
	}
	path, err := filepath.EvalSymlinks(m.Path)
	if err == nil {
		err = fsutil.WriteAtomic(path, after, fsutil.Bytes([]byte(m.After)))
	}
	if err != nil {
		return fmt.Errorf("migrate %s: %w", m.Path, err)
	}
	return nil
}

// Migrate returns the file and the drop-ins as this version takes them. Keys that it does not know, of
// a newer or an older version or misspelled, become comments, and the version is its own.
func (s Sources) Migrate() ([]Migration, error) {
	file, err := s.file()
	if err != nil {
		return nil, err
	}
	dropIns, err := s.dropIns()
	if err != nil {
		return nil, err
	}
	var all []Migration
	for _, from := range slices.Concat(file, dropIns) {
		m := Migration{Path: from.source, Before: string(from.text)}
		info, err := os.Stat(from.source)
		if err != nil {
			return nil, err
		}
		m.mode = info.Mode().Perm()
		from.text = bytes.Clone(from.text)
		for range maxMigrated {
			m.Left = problemsOf(from)
			next := slices.IndexFunc(m.Left, func(p Problem) bool { return p.Unknown && p.Row > 0 || p.Key == "version" && !p.Syntax })
			if next < 0 || slices.ContainsFunc(m.Left, func(p Problem) bool { return p.Syntax }) {
				break
			}
			if from.text, err = migrated(from.text, m.Left[next]); err != nil {
				return nil, fmt.Errorf("migrate %s: %w", from.source, err)
			}
		}
		m.After = string(from.text)
		all = append(all, m)
	}
	return all, nil
}

// problemsOf are the mistakes of one file, whatever the others are like.
func problemsOf(from layer) []Problem {
	l := &Loaded{Config: Default(), origins: map[string]origin{}}
	err := l.lay(from)
	return Problems(errors.Join(append(from.problems(err), l.validate()...)...))
}

// migrated is the text without one mistake.
func migrated(text []byte, p Problem) ([]byte, error) {
	if p.Key == "version" {
		at, stated := tomlerr.Positions(text)["version"]
		line := fmt.Appendf(nil, "version = %d", version)
		if !stated {
			return slices.Concat(line, []byte("\n"), text), nil
		}
		rows := bytes.Split(text, []byte("\n"))
		rows[at.Row-1] = line
		return bytes.Join(rows, []byte("\n")), nil
	}
	start, end, ok := tomlerr.Rows(text, p.Row)
	if !ok {
		return nil, fmt.Errorf("row %d: not valid TOML", p.Row)
	}
	rows := strings.Split(string(text), "\n")
	end = min(end, len(rows)+1)
	for end-1 > start && blank(rows[end-2]) { // what is between it and the next one stays
		end--
	}
	for i := start - 1; i < end-1; i++ {
		if !blank(rows[i]) {
			rows[i] = "# " + rows[i]
		}
	}
	if start < 2 || rows[start-2] != notKnown {
		rows = slices.Insert(rows, start-1, notKnown)
	}
	return []byte(strings.Join(rows, "\n")), nil
}

// blank reports whether a row has neither key nor value.
func blank(row string) bool {
	row = strings.TrimSpace(row)
	return row == "" || strings.HasPrefix(row, "#")
}
