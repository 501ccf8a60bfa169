package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/author/attach"
)

// keygen makes a pair of keys in a directory of its own.
func keygen(t *testing.T, name string, args ...string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	toolOK(t, append([]string{"keygen", name}, args...)...)
	return name
}

func TestKeygenOverwritesNothingAndNeedsAPassphrase(t *testing.T) {
	t.Setenv("COSIGN_PASSWORD", "")
	if err := os.Unsetenv("COSIGN_PASSWORD"); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "ops")
	if got := tool(t, "", "keygen", name); got.err == nil || !strings.Contains(got.err.Error(), "a passphrase is needed") {
		t.Errorf("%v", got.err)
	}
	toolOK(t, "keygen", name, "--no-passphrase", "--type", "ed25519")
	for file, mode := range map[string]os.FileMode{name + ".key": 0o600, name + ".pub": 0o644} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm()&^mode != 0 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
	if got := tool(t, "", "keygen", name, "--no-passphrase"); got.err == nil || !strings.Contains(got.err.Error(), "nothing is overwritten") {
		t.Errorf("%v", got.err)
	}
}

// TestSignedMetadata takes the way of an author and an operator: attach, sign, verify, and
// see what a node uses.
func TestSignedMetadata(t *testing.T) {
	t.Setenv("COSIGN_PASSWORD", "correct horse")
	s := newRegistry(t, fakeregistry.Options{Strict: true})
	ref, file := s.Reference(":1"), write(t, "needs.json", needsAVX2)
	ops, other := keygen(t, "ops"), keygen(t, "other", "--no-passphrase")
	unsigned := func(want ...string) {
		t.Helper()
		got := tool(t, "", "verify-signature", ref, "--key", ops+".pub")
		if !errors.Is(got.err, cli.ExitError(exitUnsigned)) {
			t.Errorf("exit code: %v", got.err)
		}
		for _, w := range want {
			if !strings.Contains(got.stdout, w) {
				t.Errorf("%q is not in\n%s", w, got.stdout)
			}
		}
	}
	unsigned("index  sha256:", "  unsigned\n")
	artifact := strings.TrimSpace(toolOK(t, "attach", ref, file, "--platform", "linux/amd64/v3", "-q"))
	toolOK(t, "sign", ref, "--key", other+".key")
	unsigned("not signed by a trusted key", "artifact  "+artifact+"  unsigned")
	if n := strings.Count(toolOK(t, "sign", ref, "--key", ops+".key", "--artifacts"), "sha256:"); n != 2 {
		t.Errorf("%d signatures, want those of the index and of the artifact", n)
	}
	statement := strings.TrimSpace(toolOK(t, "attach", ref, file, "--sign-key", ops+".key", "--statement", "-q"))
	got := toolOK(t, "verify-signature", ref, "--key", ops+".pub")
	for _, want := range []string{"artifact  " + artifact + "  signed by ops.pub", "statement  " + statement + "  signed by ops.pub"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	set := []string{"--set", "cache.referrers_ttl=0s", "--set", "trust.metadata=signed", "--set", `trust.keys=["` + ops + `.pub"]`}
	for args, want := range map[string]string{"list": "signed by ops.pub", "explain": "signed by ops.pub"} {
		got := tool(t, "", append([]string{args, ref}, set...)...)
		if !strings.Contains(got.stdout, want) {
			t.Errorf("%s: %q is not in\n%s", args, want, got.stdout)
		}
	}
	toolOK(t, "attach", ref, file, "--entry", "0", "-q")
	var listing attach.Listing
	if err := json.Unmarshal([]byte(toolOK(t, append([]string{"list", ref, "-o", "json"}, set...)...)), &listing); err != nil {
		t.Fatal(err)
	}
	if a := listing.Entries[0].Artifacts; len(a) != 1 || a[0].Counts || a[0].Unsigned != "unsigned" {
		t.Errorf("what is not signed: %+v", a)
	}
	if got := tool(t, "", append([]string{"explain", ref}, set...)...); !strings.Contains(got.stdout, "unsigned: ignored") {
		t.Errorf("explain:\n%s", got.stdout)
	}
}

func TestAttachSignsWithACommand(t *testing.T) {
	s := newRegistry(t, fakeregistry.Options{Strict: true, NoReferrersAPI: true})
	ref, file := s.Reference(":1"), write(t, "needs.json", needsAVX2)
	got := toolOK(t, "attach", ref, file, "-q", "-o", "json", "--sign-command", "base64 -w0")
	var result attached
	if err := json.Unmarshal([]byte(got), &result); err != nil || s.Get(result.Signature) == nil {
		t.Errorf("%+v, %v", result, err)
	}
	for command, want := range map[string]string{"exit 3": "exit status 3", "echo !": "no valid base64", "true": "printed 0 bytes"} {
		if got := tool(t, "", "sign", ref, "--sign-command", command); got.err == nil || !strings.Contains(got.err.Error(), want) {
			t.Errorf("%s: %v, want %s", command, got.err, want)
		}
	}
	if got := tool(t, "", "attach", ref, file, "--statement"); got.err == nil || !strings.Contains(got.err.Error(), "--statement needs") {
		t.Errorf("%v", got.err)
	}
}
