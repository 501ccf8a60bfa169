// Package hosttest lays out files of nodes for tests.
package hosttest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Tree writes files below a new directory and returns it. Content "-> target" is
// a symbolic link.
func Tree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Captured returns the directories of all captured hosts, by name: those of
// testdata/*/root, and those made of the files of testdata/hosts and
// testdata/nodes.
func Captured(t testing.TB, testdata string) map[string]string {
	t.Helper()
	captured := map[string]string{}
	roots, err := filepath.Glob(testdata + "/*/root")
	if err != nil {
		t.Fatal(err)
	}
	for _, root := range roots {
		captured[filepath.Base(filepath.Dir(root))] = root
	}
	for _, folder := range []string{"hosts", "nodes"} {
		files, err := filepath.Glob(testdata + "/" + folder + "/*.txt")
		if err != nil || len(files) == 0 {
			t.Fatal("no hosts in ", folder, err)
		}
		for _, file := range files {
			captured[strings.TrimSuffix(filepath.Base(file), ".txt")] = Host(t, file)
		}
	}
	return captured
}

// Host writes the files of a captured host below a new directory and returns it.
// Each begins with "-- PATH --" in the capture, because the addresses of PCI
// devices have colons, which file names in a Go module must not have.
func Host(t testing.TB, capture string) string {
	t.Helper()
	data, err := os.ReadFile(capture)
	if err != nil {
		t.Fatal(err)
	}
	files, current := map[string]string{}, ""
	for line := range strings.Lines(string(data)) {
		if path, ok := strings.CutPrefix(line, "-- "); ok {
			current = strings.TrimSuffix(strings.TrimSpace(path), " --")
			files[current] = ""
			continue
		}
		if strings.HasPrefix(line, "-> ") {
			line = strings.TrimSpace(line)
		}
		files[current] += line
	}
	return Tree(t, files)
}
