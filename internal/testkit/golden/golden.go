// Package golden compares what tests get with files that hold what they want.
// With -update the files are written instead; read their diff before you commit.
package golden

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// Equal fails the test where the file differs from what it got.
func Equal(t testing.TB, path, got string) {
	t.Helper()
	equal(t, *update, path, got)
}

func equal(t testing.TB, update bool, path, got string) {
	t.Helper()
	want, err := os.ReadFile(path)
	if err == nil && string(want) == got {
		return
	}
	switch {
	case update:
		err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(got), 0o644))
		if err != nil {
			t.Fatal(err)
		}
	case errors.Is(err, fs.ErrNotExist):
		t.Errorf("%s does not exist (-update writes it); got:\n%s", path, got)
	case err != nil:
		t.Fatal(err)
	default:
		t.Errorf("%s differs (-update writes it): -want +got\n%s", path, cmp.Diff(string(want), got))
	}
}

// Part is Equal for what stands between two marks of a file that people write,
// such as a table of the documentation.
func Part(t testing.TB, path, begin, end, got string) {
	t.Helper()
	part(t, *update, path, begin, end, got)
}

func part(t testing.TB, update bool, path, begin, end, got string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s lacks %q or %q", path, begin, end)
	}
	equal(t, update, path, before+begin+got+end+after)
}
