package hostfacts

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestFreshness(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	release := filepath.Join(dir, "etc", "os-release")
	write := func(id string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(release), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(release, []byte("ID="+id+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	start := time.Now()
	s := NewSource(t.Context(), NewRoot(dir), nil)
	for step, want := range []struct {
		id      string
		changes uint64
	}{{"first", 0}, {"second", 1}, {"second", 1}, {"first", 2}} {
		write(want.id)
		before := s.Refreshed()
		if before.Before(start) || before.After(time.Now()) {
			t.Errorf("step %d: refreshed at %s", step, before)
		}
		s.Refresh(t.Context())
		if s.Changes() != want.changes || !s.Refreshed().After(before) {
			t.Errorf("step %d: %d changes, want %d; refreshed at %s after %s", step, s.Changes(), want.changes, s.Refreshed(), before)
		}
	}
}
