package wiring_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit/trusttest"
	"github.com/imagefit/imagefit/internal/wiring"
	"github.com/imagefit/imagefit/pkg/config"
)

func writeKey(t *testing.T, file, kind string) string {
	t.Helper()
	signer := trusttest.New(t, kind)
	text, err := signer.PEM()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return signer.ID
}

func TestAKeyThatCannotBeReadIsSkippedAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ops := writeKey(t, filepath.Join(dir, "ops.pub"), "ed25519")
	team := writeKey(t, filepath.Join(dir, "team.pub"), "p256")
	if err := os.WriteFile(filepath.Join(dir, "bad.pub"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Trust.Metadata, cfg.Trust.Keys = config.Signed, []string{filepath.Join(dir, "o*.pub"), filepath.Join(dir, "bad.pub")}
	cfg.Trust.Repositories = map[string]config.TrustRule{
		"r.example/team": {Keys: []string{filepath.Join(dir, "*.pub")}, MinCreated: "2026-01-02T03:04:05Z"},
		"r.example/open": {Metadata: config.Unsigned},
		"r.example/none": {Keys: []string{filepath.Join(dir, "missing.pub")}},
	}
	rules, skipped := wiring.Trust(cfg.Trust)
	for repository, want := range map[string]struct {
		signed  bool
		keys    string
		created int
	}{
		"r.example/a":      {true, ops, 1},
		"r.example/team/a": {true, ops + " " + team, 2026},
		"r.example/open":   {false, ops, 1},
		"r.example/none":   {true, "", 1},
	} {
		rule := rules.For(repository)
		var ids []string
		for _, key := range rule.Keys {
			ids = append(ids, key.ID)
		}
		if got := strings.Join(ids, " "); rule.Signed != want.signed || got != want.keys || rule.MinCreated.Year() != want.created {
			t.Errorf("%s: %+v", repository, rule)
		}
	}
	all := errors.Join(skipped...).Error()
	for _, want := range []string{"bad.pub: it is not a public key in PEM", `trust.repositories."r.example/none": read public keys: no file matches`, "no key is trusted"} {
		if !strings.Contains(all, want) {
			t.Errorf("skipped:\n%swant %q", all, want)
		}
	}
}

func TestAChangeOfKeysIsNoticed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := config.Default()
	cfg.Trust.Repositories = map[string]config.TrustRule{"r.example/a": {Keys: []string{filepath.Join(dir, "*.pub")}}}
	before := wiring.RuleFiles(cfg)
	writeKey(t, filepath.Join(dir, "ops.pub"), "ed25519")
	after := wiring.RuleFiles(cfg)
	if before == after {
		t.Error("a new key is not noticed")
	}
	if err := os.Remove(filepath.Join(dir, "ops.pub")); err != nil {
		t.Fatal(err)
	}
	if wiring.RuleFiles(cfg) != before {
		t.Error("a removed key is not noticed")
	}
}
