package wiring_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/wiring"
)

func TestSpecsOfTheOperatorGoBeforeTheEmbedded(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "specs[1].d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	const head = "version = 1\nname = \"x\"\ngroups = [\"g\"]\n[[node]]\nname = \"n\"\n"
	const node = head + "fact = \"f\"\nelement = \"e\"\ntype = \"bool\"\nmatch = \"exists\""
	own := func(name string) string { return strings.Replace(node, `"x"`, `"`+name+`"`, 1) }
	for name, text := range map[string]string{
		"10-site.toml":  own("site") + "\ndescription = \"older\"",
		"20-nfd.toml":   own("io.kubernetes.nfd"),
		"30-bad.toml":   head + "type = \"nonsense\"\n",
		"40-site.toml":  own("site") + "\ndescription = \"newer\"",
		"README":        "not a spec",
		"50-any.toml":   strings.Replace(own("any"), `["g"]`, `["*"]`, 1),
		"60-large.toml": "# " + strings.Repeat("x", 1<<20),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "70-dir.toml"), 0o700); err != nil {
		t.Fatal(err)
	}
	specs, skipped, err := wiring.Specs(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range specs {
		names = append(names, s.Name)
	}
	want := "io.kubernetes.nfd site io.archspec llnl.compatlib oci org.opencontainers os.features org.supercontainers any"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if i := slices.Index(names, "site"); specs[i].Nodes[0].Description != "newer" || specs[i].Source != filepath.Join(dir, "40-site.toml") {
		t.Errorf("the older file applies: %+v", specs[i])
	}
	wants := []string{
		`30-bad.toml: row 4, node "n": fact is needed`, "60-large.toml: larger than", "70-dir.toml: not a regular file",
	}
	if len(skipped) != len(wants) {
		t.Fatalf("skipped %v", skipped)
	}
	for i, want := range wants {
		if !strings.Contains(skipped[i].Error(), want) {
			t.Errorf("skipped %v, want %s", skipped[i], want)
		}
	}
}

func TestSpecsNeedNoDirectory(t *testing.T) {
	t.Parallel()
	specs, skipped, err := wiring.Specs(filepath.Join(t.TempDir(), "missing"))
	if err != nil || len(skipped) > 0 || len(specs) == 0 {
		t.Errorf("%d specs, skipped %v, %v", len(specs), skipped, err)
	}
}
