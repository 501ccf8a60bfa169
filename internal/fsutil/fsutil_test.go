package fsutil

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/sys/unix"
)

func TestReadFileRefusesWhatIsLargeOrNotAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, pipe, link := filepath.Join(dir, "file"), filepath.Join(dir, "pipe"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(file, []byte("12345"), 0o600), unix.Mkfifo(pipe, 0o600), os.Symlink("file", link)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path  string
		limit int64
		want  string
		is    error
	}{
		{file, 4, "read " + file + ": larger than 4 bytes", ErrTooLarge},
		{pipe, 9, "open " + pipe + ": not a regular file", ErrNotRegular},
		{dir, 9, "open " + dir + ": not a regular file", ErrNotRegular},
		{file + "x", 9, "open " + file + "x: no such file or directory", fs.ErrNotExist},
	} {
		_, err := ReadFile(tt.path, tt.limit)
		if err == nil || err.Error() != tt.want || !errors.Is(err, tt.is) {
			t.Errorf("%v, want %s, that is a %v", err, tt.want, tt.is)
		}
	}
	for _, path := range []string{file, link} {
		if got, err := ReadFile(path, 5); string(got) != "12345" || err != nil {
			t.Errorf("ReadFile(%s): %q, %v", path, got, err)
		}
	}
}

func TestReadAnyReadsAPipeToItsEnd(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() { _ = os.WriteFile(pipe, []byte("12345"), 0o600) }()
	if got, err := ReadAny(pipe, 5); string(got) != "12345" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := ReadAny(pipe+"x", 5); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, want a missing file", err)
	}
}

func TestReadAllNamesWhatItReads(t *testing.T) {
	t.Parallel()
	if _, err := ReadAll("the answer", iotest.ErrReader(io.ErrUnexpectedEOF), 9); err == nil ||
		err.Error() != "read the answer: unexpected EOF" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	endless := io.MultiReader(strings.NewReader("x"), iotest.DataErrReader(bytes.NewReader(make([]byte, 1<<20))))
	if _, err := ReadAll("an endless one", endless, 1<<10); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}

func TestWriteAtomicReplacesAllOrNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	write := func(o WriteOptions, content string) error { return WriteAtomic(path, o, Bytes([]byte(content))) }
	if err := write(WriteOptions{New: true, Mode: 0o644}, "one"); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, "one", 0o644)
	if err := write(WriteOptions{New: true}, "two"); !errors.Is(err, fs.ErrExist) || err.Error() != "create "+path+": file already exists" {
		t.Errorf("write over a file: %v", err)
	}
	wantFile(t, path, "one", 0o644)
	if err := write(WriteOptions{Sync: true}, "three"); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, "three", 0o600)
	broken := errors.New("broken")
	err := WriteAtomic(path, WriteOptions{}, func(w io.Writer) error {
		_, err := io.WriteString(w, "half")
		if temps, _ := filepath.Glob(filepath.Join(dir, TempPrefix+"*")); len(temps) != 1 {
			t.Errorf("temporary files: %q", temps)
		}
		return errors.Join(err, broken)
	})
	if !errors.Is(err, broken) {
		t.Errorf("%v, want the writer's error", err)
	}
	wantFile(t, path, "three", 0o600)
	if err := WriteAtomic(filepath.Join(dir, "missing", "file"), WriteOptions{}, Bytes(nil)); !errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), TempPrefix) {
		t.Errorf("%v, want a missing folder", err)
	}
	if err := WriteAtomic(dir, WriteOptions{}, Bytes(nil)); err == nil {
		t.Error("a folder was replaced")
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left over beside the file: %v", left)
	}
}

func TestReplaceFileKeepsLinksAndModes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	err := errors.Join(os.WriteFile(file, []byte("old"), 0o600), os.Chmod(file, 0o640), os.Symlink("file", link))
	if err != nil {
		t.Fatal(err)
	}
	if err := ReplaceFile(link, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link is gone: %v, %v", info, err)
	}
	wantFile(t, file, "new", 0o640)
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("left over: %v", left)
	}
	if err := ReplaceFile(dir, nil); !errors.Is(err, ErrNotRegular) {
		t.Errorf("%v, want that a folder is refused", err)
	}
	if err := ReplaceFile(file+"x", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, want a missing file", err)
	}
}

func wantFile(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	got, err := os.ReadFile(path)
	info, statErr := os.Stat(path)
	if err := errors.Join(err, statErr); err != nil {
		t.Fatal(err)
	}
	if string(got) != content || info.Mode() != mode {
		t.Errorf("%s holds %q with mode %v, want %q, %v", path, got, info.Mode(), content, mode)
	}
}

func FuzzReadAllKeepsToItsLimit(f *testing.F) {
	f.Add([]byte("12345"), uint16(4))
	f.Add([]byte(""), uint16(0))
	f.Fuzz(func(t *testing.T, content []byte, limit uint16) {
		got, err := ReadAll("x", iotest.OneByteReader(bytes.NewReader(content)), int64(limit))
		if fits := len(content) <= int(limit); fits != (err == nil) || fits && !bytes.Equal(got, content) || !fits && (got != nil || !errors.Is(err, ErrTooLarge)) {
			t.Errorf("%d bytes of %d, at most %d: %v", len(got), len(content), limit, err)
		}
	})
}
