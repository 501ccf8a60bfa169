package hostfacts

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A file of the operator's that cannot be read is logged once, not at every
// refresh, and again when it is wrong in another way.
func TestProblemsAreLoggedOnce(t *testing.T) {
	t.Parallel()
	root := tree(t, map[string]string{"etc/imagefit/facts.d/a.toml": "version = 1\nbroken\n"})
	var log bytes.Buffer
	source := NewSource(context.Background(), root, slog.New(slog.NewTextHandler(&log, nil)))
	count := func(text string) int { return strings.Count(log.String(), text) }
	source.Refresh(context.Background())
	if count("a source of facts is passed over") != 1 || count("row 2") != 1 {
		t.Errorf("the log says\n%s", log.String())
	}
	if err := os.WriteFile(filepath.Join(root.Dir(), "etc/imagefit/facts.d/a.toml"), []byte("version = 1\n\nworse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	source.Refresh(context.Background())
	if count("a source of facts is passed over") != 2 || count("row 3") != 1 {
		t.Errorf("after a change the log says\n%s", log.String())
	}
}
