package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/testkit/catalogtest"
	"github.com/imagefit/imagefit/internal/testkit/compattest"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/internal/testkit/trusttest"
	"github.com/imagefit/imagefit/pkg/audit"
)

func TestACatalogShowsAndUsesWhoSigned(t *testing.T) {
	t.Parallel()
	reg, ops := fakeregistry.New(t, fakeregistry.Options{}), trusttest.New(t, "ed25519")
	catalogtest.FillSigned(t, reg, ops)
	public, err := ops.PEM()
	if err != nil {
		t.Fatal(err)
	}
	key := write(t, "ops.pub", string(public))
	config := write(t, "config.toml", fmt.Sprintf("version = 1\n[trust]\nmetadata = \"signed\"\nkeys = [%q]\n", key))
	db, cloud := filepath.Join(t.TempDir(), "catalog.db"), factsFile(t, "cloud.json", compattest.Cloud())
	ask := func(args ...string) result {
		t.Helper()
		got := tool(t, "", append([]string{"--config", config, "catalog", "--db", db}, args...)...)
		if got.err != nil {
			t.Fatalf("%q: %v\n%s", args, got.err, got.stderr)
		}
		return got
	}
	ask("add", reg.Host())
	toolOK(t, "catalog", "--db", db, "sync", "--rate", "0") // by a crawler without the key
	const unknown = "the catalog does not know what ops.pub signed, which counts as unsigned"
	if got := ask("who-fits", "--facts", cloud); !strings.Contains(got.stderr, unknown) {
		t.Errorf("a key that the crawler did not have: %s", got.stderr)
	}
	ask("sync", "--rate", "0")
	got := ask("who-fits", "--facts", cloud, "-o", "json")
	if strings.Contains(got.stderr, unknown) || !strings.Contains(got.stdout, "ignored (trust.metadata): unsigned") {
		t.Errorf("who-fits: %s\n%s", got.stderr, got.stdout)
	}
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"query", []string{"query", "signer = ops.pub and tag = 1", "-o", "csv"}, ",ops.pub\n"},
		{"show", []string{"show", reg.Host() + "/signed/old:1"}, ", signed by ops.pub\n"},
		{"show what is not signed", []string{"show", reg.Host() + "/signed/none:1"}, "(current), unsigned\n"},
	} {
		if out := ask(tt.args...).stdout; !strings.Contains(out, tt.want) {
			t.Errorf("%s: %q is not in\n%s", tt.name, tt.want, out)
		}
	}
}

func TestAuditNamesTheSigners(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	console := &cli.Console{}
	printFinding(console, &b, audit.Finding{Reference: "registry.example/app:1", Verdict: audit.Refused, Reason: "needs AVX2", SignedBy: []string{"ops.pub"}})
	printFinding(console, &b, audit.Finding{Reference: "registry.example/app:1", Verdict: audit.Admitted, SignedBy: []string{"ops.pub"}})
	if want := "refused\tregistry.example/app:1\tneeds AVX2; signed by ops.pub\nadmitted\tregistry.example/app:1\tsigned by ops.pub\n"; b.String() != want {
		t.Errorf("%q", b.String())
	}
}
