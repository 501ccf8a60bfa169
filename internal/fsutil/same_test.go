package fsutil

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSameFileSeesThroughLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(in("run"), 0o700))
	must(os.WriteFile(in("run/there"), nil, 0o600))
	must(os.WriteFile(in("run/other"), nil, 0o600))
	must(os.Symlink("run", in("var")))
	must(os.Symlink("run/absent", in("dangling")))
	must(os.Symlink(in("run/there"), in("link")))
	must(os.Symlink("loop", in("loop")))
	must(os.Link(in("run/there"), in("hard")))
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"run/there", "run/there", true}, {"run/there", "link", true}, {"run/there", "var/there", true}, {"run/there", "hard", true},
		{"run/absent", "var/absent", true}, {"run/absent", "dangling", true}, {"none/x", "none/../none/x", true},
		{"run/there", "run/other", false}, {"run/absent", "run/missing", false}, {"run/absent", "run/there", false},
		{"none/x", "nowhere/x", false}, {"loop", "run/there", false},
	} {
		if got := SameFile(in(test.a), in(test.b)); got != test.want {
			t.Errorf("%s and %s: %t", test.a, test.b, got)
		}
	}
}
