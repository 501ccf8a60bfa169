package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imagefit/imagefit/integration/stack"
)

// TestDescriptionOfAnImageTakesEffectWithoutARestart drops a file into images.d beside a
// running proxy, and takes it away again.
func TestDescriptionOfAnImageTakesEffectWithoutARestart(t *testing.T) {
	dir := t.TempDir()
	f := startFit(t, flagsV2, stack.Settings{Cache: fmt.Sprintf("[select]\nimages_dir = %q", dir)})
	repo, _, _ := f.push(t, "app", variants("amd64", "arm64")...)
	ref := repo.Ref("1")
	f.pull(t, ref)

	file := filepath.Join(dir, "app.toml")
	text := "version = 1\n[[image]]\nrepositories = [\"**/app\"]\nrequires = [\"nfd :: cpu-cpuid.AVX2 :: true\"]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	refused := func() string {
		_, err := f.cri.Pull(t.Context(), ref, stack.PullOptions{})
		if err == nil {
			return ""
		}
		return err.Error()
	}
	want := "linux/amd64 needs cpu.cpuid AVX2 (absent, stated in " + file + ":2)"
	awaitText(t, refused, func(got string) bool { return strings.Contains(got, want) })
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	awaitText(t, refused, func(got string) bool { return got == "" })
}

// awaitText calls a function until its text is as wanted.
func awaitText(t *testing.T, get func() string, wanted func(string) bool) {
	t.Helper()
	got := ""
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if got = get(); wanted(got) {
			return
		}
	}
	t.Fatalf("after two minutes it is still %q", got)
}
