package main

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdxlib"
)

func TestVersionsFollowTags(t *testing.T) {
	t.Parallel()
	for describe, want := range map[string]string{
		"v0.1.0":                    "0.1.0",
		"v0.1.0-dirty":              "0.1.0+dirty",
		"v0.2.0-rc.1":               "0.2.0-rc.1",
		"v0.1.0-12-g31eef7d":        "0.1.1-dev.12+g31eef7d",
		"v0.1.9-12-g31eef7d-dirty":  "0.1.10-dev.12+g31eef7d.dirty",
		"31eef7d":                   "0.1.0-dev+g31eef7d",
		"31eef7d-dirty":             "0.1.0-dev+g31eef7d.dirty",
		"unknown":                   "",
		"":                          "",
		"v0.1":                      "",
		"v0.1.0; rm -rf /":          "",
		"v99999999999999999999.0.0": "99999999999999999999.0.0",
	} {
		got, err := semver(describe)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q is version %q, %v; want %q", describe, got, err, want)
		}
	}
}

func TestReleasesAreInTheChangelog(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "CHANGELOG.md")
	if err := os.WriteFile(path, []byte("# Changelog\n\n## [Unreleased]\n\n## [0.1.0] - 2026-12-01\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for version, want := range map[string]bool{"0.1.0": true, "0.2.0": false, "0.2.0-rc.1": true, "0.1.1-dev.3+gabc": true} {
		if err := checkChangelog(path, version); (err == nil) != want {
			t.Errorf("version %s: %v", version, err)
		}
	}
}

// TestTwoBuildsAreIdentical builds in two folders, of which one is no git repository, with another
// time zone and umask.
func TestTwoBuildsAreIdentical(t *testing.T) {
	if os.Getenv("IMAGEFIT_REPRODUCE") == "" {
		t.Skip("it builds all programs twice: make reproducible")
	}
	t.Setenv("SOURCE_DATE_EPOCH", "1764288000")
	here, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	there := filepath.Join(t.TempDir(), "another", "folder")
	copyTracked(t, here, there)
	made := func(source string) map[string]string {
		out := filepath.Join(t.TempDir(), "dist")
		if err := run(t.Context(), []string{"-source", source, "-out", out, "-version", "v0.1.0-rc.1", "-platforms", "linux/amd64"}); err != nil {
			t.Fatal(err)
		}
		return read(t, out)
	}
	first := made(here)
	t.Setenv("TZ", "Pacific/Auckland")
	second := made(there)
	if names, others := slices.Sorted(maps.Keys(first)), slices.Sorted(maps.Keys(second)); !slices.Equal(names, others) {
		t.Fatalf("made %q and then %q", names, others)
	}
	for name, content := range first {
		if content != second[name] {
			t.Errorf("%s differs between two builds", name)
		}
	}
	for _, name := range []string{
		"imagefit-0.1.0-rc.1-linux-amd64.tar.gz", "imagefit_0.1.0~rc.1_amd64.deb", "imagefit-0.1.0~rc.1-1.x86_64.rpm",
		"imagefit-0.1.0-rc.1-image.oci.tar",
	} {
		wantBill(t, first[name+".spdx.json"], name)
		if !strings.Contains(first["SHA256SUMS"], sum([]byte(first[name]))+"  "+name+"\n") {
			t.Errorf("SHA256SUMS has no line for %s:\n%s", name, first["SHA256SUMS"])
		}
	}
}

// wantBill checks that a bill of materials is valid, and that it lists the programs and what they are
// built from.
func wantBill(t *testing.T, text, of string) {
	t.Helper()
	doc, err := json.Read(strings.NewReader(text))
	if err != nil {
		t.Fatalf("bill of %s: %v", of, err)
	}
	if err := spdxlib.ValidateDocument(doc); err != nil {
		t.Errorf("bill of %s: %v", of, err)
	}
	var names []string
	for _, p := range doc.Packages {
		names = append(names, p.PackageName)
	}
	for _, want := range []string{of, "cri-proxy", "nri-plugin", "imagefit", "stdlib", "google.golang.org/grpc", "oras.land/oras-go/v2"} {
		if !slices.Contains(names, want) {
			t.Errorf("bill of %s has no %s", of, want)
		}
	}
}

// copyTracked copies the files of a repository as they are in its work tree.
func copyTracked(t *testing.T, from, to string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = from
	list, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range bytes.SplitSeq(bytes.TrimRight(list, "\x00"), []byte{0}) {
		content, err := os.ReadFile(filepath.Join(from, string(name)))
		if os.IsNotExist(err) {
			continue // deleted and not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := writeFile(filepath.Join(to, string(name)), content); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[entry.Name()] = string(content)
	}
	return all
}
