package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/config"
)

func TestTrustIsMergedByRepository(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "config.toml")
	if err := os.MkdirAll(file+".d", 0o700); err != nil {
		t.Fatal(err)
	}
	const text = `version = 1
[trust]
metadata = "signed"
keys = ["/k/a.pub"]
[trust.repositories."r.example/team"]
keys = ["/k/team.pub"]
[trust.repositories."r.example/open"]
metadata = "any"
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set := []string{`trust.repositories."r.example/team".min_created=2026-01-02T03:04:05Z`}
	loaded, err := config.Sources{File: file, Set: set}.Load()
	if err != nil {
		t.Fatal(err)
	}
	for prefix, want := range map[string]config.TrustRule{
		"r.example/team":  {Metadata: "signed", Keys: []string{"/k/team.pub"}, MinCreated: "2026-01-02T03:04:05Z"},
		"r.example/open":  {Metadata: "any", Keys: []string{"/k/a.pub"}},
		"r.example/other": {Metadata: "signed", Keys: []string{"/k/a.pub"}},
	} {
		got := loaded.Config.Trust.For(prefix)
		if got.Metadata != want.Metadata || strings.Join(got.Keys, " ") != strings.Join(want.Keys, " ") || got.MinCreated != want.MinCreated {
			t.Errorf("%s: %+v", prefix, got)
		}
	}
	again := filepath.Join(dir, "again.toml")
	if err := os.WriteFile(again, []byte(loaded.TOML()), 0o600); err != nil {
		t.Fatal(err)
	}
	reloaded, err := config.Sources{File: again}.Load()
	if err != nil || reloaded.Config.Trust.For("r.example/team").Keys[0] != "/k/team.pub" {
		t.Errorf("the dump reads as %+v, %v", reloaded, err)
	}
}

func TestTrustThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`[trust]` + "\n" + `metadata = "all"`:                                `row 3, key trust.metadata: "all" is not one of any, signed`,
		`[trust]` + "\n" + `keys = ["a.pub"]`:                                `row 3, key trust.keys: "a.pub" is not an absolute path`,
		`[trust]` + "\n" + `keys = ["/a["]`:                                  `row 3, key trust.keys: "/a[" is not a pattern`,
		`[trust]` + "\n" + `min_created = "yesterday"`:                       `row 3, key trust.min_created: "yesterday" is not a time`,
		`[trust.repositories."team"]` + "\n" + `metadata = "signed"`:         `key trust.repositories.team: "team" does not begin with the host`,
		`[trust.repositories."r.example"]` + "\n" + `metadata = "x"`:         `key trust.repositories."r.example".metadata: "x" is not one of`,
		`[trust.repositories."r.example"]` + "\n" + `keys = ["b"]`:           `key trust.repositories."r.example".keys: "b" is not an absolute path`,
		`[trust.repositories."r.example"]` + "\n" + `repositories = ["any"]`: `unknown key trust.repositories."r.example".repositories`,
	} {
		if _, err := parse(t, "version = 1\n"+text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
