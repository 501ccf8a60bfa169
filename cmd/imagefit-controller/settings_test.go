package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagefit/imagefit/pkg/config"
)

// TestTheConfigurationIsLookedAt: another one ends the instance, one with a mistake does not.
func TestTheConfigurationIsLookedAt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "config.toml"), []byte("version = 1\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		write("[controller]\nstrict = false\n")
		s := settings{
			src: config.Sources{File: filepath.Join(dir, "config.toml")},
			log: slog.New(slog.DiscardHandler), level: new(slog.LevelVar),
		}
		loaded, err := s.src.Load()
		if err != nil {
			t.Fatal(err)
		}
		s.cfg = loaded.Config
		var errs []error
		changed := make(chan *config.Config, 1)
		go func() { changed <- s.awaitChange(t.Context(), func(err error) { errs = append(errs, err) }) }()
		step := func(text string) {
			write(text)
			time.Sleep(3 * changePause)
			synctest.Wait()
		}
		step("[controller]\nstrict = \"perhaps\"\n")
		if len(errs) != 1 || errs[0] == nil || !strings.Contains(errs[0].Error(), "strict") {
			t.Errorf("a mistake is told as %v", errs)
		}
		step("# the same\n[controller]\nstrict = false\n")
		if len(errs) != 2 || errs[1] != nil || len(changed) != 0 {
			t.Errorf("after the mistake was mended: %v, changed %d times", errs, len(changed))
		}
		step("[controller]\nstrict = true\n")
		if got := <-changed; got == nil || !got.Controller.Strict {
			t.Errorf("another configuration is %+v", got)
		}
	})
}
