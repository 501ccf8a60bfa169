package hostfacts

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestRootStaysInside(t *testing.T) {
	t.Parallel()
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	up := strings.Repeat("../", 30)
	tests := []struct {
		name, file string
		links      map[string]string
		want       string // content; an error is wanted when empty
	}{
		{"relative link", "etc/a", map[string]string{"etc/a": "-> ../usr/b", "usr/b": "inside"}, "inside"},
		{"absolute link", "etc/a", map[string]string{"etc/a": "-> /usr/b", "usr/b": "inside"}, "inside"},
		{"link to a directory", "lib/b", map[string]string{"lib": "-> usr/lib", "usr/lib/b": "inside"}, "inside"},
		{"chain of links", "a", map[string]string{"a": "-> /b", "b": "-> c/d", "c": "-> ./e", "e/d": "inside"}, "inside"},
		{"more ups than levels stop at the root", "etc/a", map[string]string{"etc/a": "-> " + up + "usr/b", "usr/b": "inside"}, "inside"},
		{"absolute link out", "etc/a", map[string]string{"etc/a": "-> " + outside}, ""},
		{"relative link out", "etc/a", map[string]string{"etc/a": "-> " + up + outside[1:]}, ""},
		{"name that goes up", up + outside[1:], nil, ""},
		{"loop", "a", map[string]string{"a": "-> b", "b": "-> a"}, ""},
		{"directory", "d", map[string]string{"d/e": "x"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			root := tree(t, tt.links)
			got, err := root.ReadFile(tt.file)
			if string(got) != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("ReadFile = %q, %v; want %q", got, err, tt.want)
			}
			if exists, _ := root.Exists(tt.file); exists && tt.want == "" && tt.name != "directory" {
				t.Error("Exists says yes")
			}
		})
	}
}

func TestRootReadsNoMoreThanItsBounds(t *testing.T) {
	t.Parallel()
	root := tree(t, map[string]string{"big": strings.Repeat("x", maxFileSize+1), "fits": strings.Repeat("x", maxFileSize)})
	if _, err := root.ReadFile("big"); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("big: error %v", err)
	}
	if data, err := root.ReadFile("fits"); err != nil || len(data) != maxFileSize {
		t.Errorf("fits: %d bytes, error %v", len(data), err)
	}
	if head, err := root.ReadHead("big", 3); err != nil || string(head) != "xxx" {
		t.Errorf("head %q, error %v", head, err)
	}
}

func TestGunzipIsBounded(t *testing.T) {
	t.Parallel()
	bomb := gzipped(t, strings.Repeat("\n", maxFileSize+1))
	if _, err := gunzip(strings.NewReader(bomb)); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("error %v", err)
	}
}

func TestRootListsAndLinks(t *testing.T) {
	t.Parallel()
	root := tree(t, map[string]string{"d/b": "x", "d/a": "x", "l": "-> /d", "d/link": "-> /etc/x"})
	names, err := root.ReadDir("l")
	if want := []string{"a", "b", "link"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("ReadDir = %q, %v; want %q", names, err, want)
	}
	link, err := root.Readlink("l/link")
	if err != nil || link != "/etc/x" {
		t.Errorf("Readlink = %q, %v", link, err)
	}
	if _, err := root.ReadDir("none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadDir of nothing: %v", err)
	}
	if exists, err := root.Exists("d/link"); exists || err != nil {
		t.Errorf("Exists of a dangling link = %v, %v", exists, err)
	}
	if _, err := NewRoot("/nonexistent-root").ReadFile("x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadFile in no root: %v", err)
	}
}

// TestMountedRootIsLive shows the machine's own tree at another place, as a
// container sees it below /host.
func TestMountedRootIsLive(t *testing.T) {
	t.Parallel()
	const bootID = "proc/sys/kernel/random/boot_id"
	ours, err := NewRoot("/").ReadFile(bootID)
	if err != nil {
		t.Skip(err)
	}
	for content, want := range map[string]bool{string(ours): true, "another\n": false, "": false} {
		if got := tree(t, map[string]string{bootID: content}).isLive(); got != want {
			t.Errorf("boot id %q: live %v, want %v", content, got, want)
		}
	}
}
