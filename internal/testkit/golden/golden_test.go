package golden

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// recorder is a test that may fail.
type recorder struct {
	testing.TB

	failed string
}

func (r *recorder) Helper()                        {}
func (r *recorder) Errorf(format string, a ...any) { r.failed = fmt.Sprintf(format, a...) }
func (r *recorder) Fatalf(format string, a ...any) { r.Errorf(format, a...); runtime.Goexit() }
func (r *recorder) Fatal(a ...any)                 { r.Fatalf("%v", fmt.Sprint(a...)) }

// failure is what a test that calls f fails with.
func failure(t *testing.T, f func(t testing.TB)) string {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r.failed
}

func TestEqualShowsOnlyTheLinesThatDiffer(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "deep", "x.golden")
	long := strings.Repeat("the same\n", 200)
	got := failure(t, func(t testing.TB) { equal(t, false, path, "x") })
	if !strings.Contains(got, "does not exist") {
		t.Errorf("no file: %q", got)
	}
	if got := failure(t, func(t testing.TB) { equal(t, true, path, long+"old\n") }); got != "" {
		t.Errorf("update: %q", got)
	}
	if got := failure(t, func(t testing.TB) { equal(t, false, path, long+"old\n") }); got != "" {
		t.Errorf("no difference: %q", got)
	}
	got = failure(t, func(t testing.TB) { equal(t, false, path, long+"new\n") })
	if !strings.Contains(got, "old") || !strings.Contains(got, "new") || strings.Count(got, "the same") > 10 {
		t.Errorf("a difference: %q", got)
	}
}

func TestPartLeavesTheRestOfTheFileAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.md")
	if err := os.WriteFile(path, []byte("before\n<begin>\nold\n<end>\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	check := func(update bool, end, content string) string {
		return failure(t, func(t testing.TB) { part(t, update, path, "<begin>\n", end, content) })
	}
	if got := check(false, "<end>\n", "new\n"); !strings.Contains(got, "new") {
		t.Errorf("a difference: %q", got)
	}
	if got := check(true, "<end>\n", "new\n") + check(false, "<end>\n", "new\n"); got != "" {
		t.Errorf("update: %q", got)
	}
	if got := check(true, "<stop>\n", "new\n"); !strings.Contains(got, `"<stop>\n"`) {
		t.Errorf("no such mark: %q", got)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "before\n<begin>\nnew\n<end>\nafter\n" {
		t.Errorf("%q, %v", text, err)
	}
}
