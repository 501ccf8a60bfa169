package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/integration/stack"
)

// TestVariantsOfASignedIndexPassTheRuntimesVerifier has containerd ask imagefit about
// signatures: the variant of a signed index passes by its digest, which itself is not
// signed, and everything else is refused.
func TestVariantsOfASignedIndexPassTheRuntimesVerifier(t *testing.T) {
	key := filepath.Join(t.TempDir(), "ops")
	toolOK := func(args ...string) {
		t.Helper()
		if _, stderr, code := tool(t, args...); code != 0 {
			t.Fatalf("imagefit %v: exit code %d: %s", args, code, stderr)
		}
	}
	toolOK("keygen", key, "--no-passphrase")
	f := startFitWith(t, startRuntime(t, stack.Options{}), startRegistry(t), flagsV3, stack.Settings{
		Policy: "image_verifier = \"signed\"\n[trust]\nmetadata = \"signed\"\nkeys = [\"" + key + ".pub\"]",
	})
	verifier := filepath.Join(f.containerd.Dir, "verifiers", "imagefit-verify-signed")
	bin, err := stack.Binaries(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(verifier), 0o700); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\nexec %s/imagefit verify --signed \"$@\" --config %s\n", bin, f.Config)
	if err := os.WriteFile(verifier, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	signed, _, manifests := f.push(t, "signed", variants("amd64", "amd64/v3")...)
	unsigned, _, others := f.push(t, "unsigned", variants("amd64", "amd64/v3")...)
	toolOK("sign", signed.Ref("1"), "--key", key+".key")
	refused := func(what, ref string, cri *stack.CRI) {
		t.Helper()
		_, err := cri.Pull(t.Context(), ref, stack.PullOptions{})
		if err == nil || !strings.Contains(err.Error(), "verifier imagefit-verify-signed rejected image") {
			t.Errorf("%s: pulled, or refused otherwise: %v", what, err)
		}
	}
	byDigest := func(repo *stack.Repo, d digest.Digest) string {
		return strings.TrimSuffix(repo.Ref("1"), ":1") + "@" + d.String()
	}
	refused("an unsigned image", unsigned.Ref("1"), f.cri)
	refused("a variant that no signed index was seen to name", byDigest(signed, manifests[1].Digest), f.containerd.CRI)
	f.wantRuns(t, signed.Ref("1"), f.pull(t, signed.Ref("1")), "amd64/v3")
	refused("the variant in another repository", byDigest(unsigned, others[1].Digest), f.containerd.CRI)
}
