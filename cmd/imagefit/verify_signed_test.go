package main

import (
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/internal/testkit/trusttest"
	"github.com/imagefit/imagefit/internal/wiring"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/registry"
)

// TestVerifySignedAllowsTheVariantsOfASignedIndex once cri-proxy has found them in it, and
// nothing else that is not signed itself.
func TestVerifySignedAllowsTheVariantsOfASignedIndex(t *testing.T) {
	t.Parallel()
	reg, ops := fakeregistry.New(t, fakeregistry.Options{}), trusttest.New(t, "p256")
	text, err := ops.PEM()
	if err != nil {
		t.Fatal(err)
	}
	key := write(t, "ops.pub", string(text))
	stranger := reg.Image("linux/amd64", "stranger", "stranger")
	plain, fast := reg.Image("linux/amd64", "plain"), reg.Image("linux/amd64/v3", "fast")
	index := reg.Index("1", plain, fast)
	ops.Sign2(t, reg, index)
	within := reg.Image("linux/amd64/v3", "within")
	nested := reg.Index("nested", reg.Index("", within), plain)
	ops.Sign3(t, reg, nested)
	alone := reg.Image("linux/amd64", "alone", "alone")
	ops.Sign3(t, reg, alone)
	_, file := nodeDir(t, `trust.metadata = "signed"`, `trust.keys = ["`+key+`"]`, `policy.image_verifier = "signed"`)
	verify := func(name string, of ocispec.Descriptor) (string, bool) {
		t.Helper()
		got := tool(t, "", asVerifier("/x/imagefit-verify-signed", []string{
			"-name", name, "-digest", of.Digest.String(), "-stdin-media-type", "application/vnd.oci.descriptor.v1+json", "--config", file,
		})...)
		code, _ := errors.AsType[cli.ExitError](got.err)
		if got.err != nil && code != exitNoneFits {
			t.Fatal(got.err)
		}
		return got.stdout, got.err == nil
	}
	check := func(step, name string, of ocispec.Descriptor, allowed bool, want string) {
		t.Helper()
		if sentence, ok := verify(name, of); ok != allowed || !strings.Contains(sentence, want) {
			t.Errorf("%s: allowed %t: %s", step, ok, sentence)
		}
	}
	byDigest := func(d ocispec.Descriptor) string { return reg.Reference("@" + d.Digest.String()) }
	check("the index", reg.Reference(":1"), index, true, "is signed by ops.pub")
	check("a signed image", reg.Reference(":alone"), alone, true, "is signed by ops.pub")
	check("an unsigned image", reg.Reference(":stranger"), stranger, false, "is refused: unsigned")
	check("a variant before a pull", byDigest(fast), fast, false, "is refused: unsigned")

	loaded, err := config.Sources{File: file}.Load()
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	evaluator, err := wiring.Evaluator(loaded.Config, testkit.Node(3, "AVX2"), nil, log)
	if err != nil {
		t.Fatal(err)
	}
	client := registry.New(registry.Options{Log: log})
	defer client.Close()
	for tag, of := range map[string]ocispec.Descriptor{":1": index, ":nested": nested} {
		request := decision.Request{Reference: reg.Reference(tag), Snapshot: evaluator.Snapshot()}
		d, err := decision.NewResolver(evaluator, client).Decide(t.Context(), request)
		if err != nil || d.Signer == nil || d.Index != of.Digest {
			t.Fatalf("%+v, %v", d, err)
		}
	}
	check("a variant", byDigest(fast), fast, true, "is a variant of the index "+index.Digest.String()+", signed by ops.pub")
	check("a variant in an index within it", byDigest(within), within, true, "is a variant of the index "+nested.Digest.String()+", signed by ops.pub")
	check("what the index does not name", byDigest(stranger), stranger, false, "unsigned")
	check("the variant in another repository", reg.In("other").Reference("@"+fast.Digest.String()), fast, false, "is refused")
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	check("without the key", byDigest(fast), fast, false, "no public key is trusted")
}
