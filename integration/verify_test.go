package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/integration/stack"
)

// TestImagefitAsAVerifierRefusesWhatDoesNotFit pulls past cri-proxy, with imagefit in the
// directory of containerd's image verifiers and without.
func TestImagefitAsAVerifierRefusesWhatDoesNotFit(t *testing.T) {
	f := startFitWith(t, startRuntime(t, stack.Options{}), startRegistry(t), flagsV3, stack.Settings{})
	direct := f.containerd.CRI
	unfit, _, manifests := f.push(t, "unfit", variants("amd64", "amd64/v3")...)
	for _, m := range manifests {
		needs(t, unfit, m, `"cpu-cpuid.AMXINT8": true`)
	}
	fits, _, _ := f.push(t, "fits", variants("amd64", "amd64/v3")...)
	pull := func(ref string) error {
		_, err := direct.Pull(t.Context(), ref, stack.PullOptions{})
		if err == nil {
			err = direct.Remove(t.Context(), ref)
		}
		return err
	}
	if err := pull(unfit.Ref("1")); err != nil {
		t.Fatalf("without imagefit: %v", err)
	}

	verifier := filepath.Join(f.containerd.Dir, "verifiers", "imagefit-verify")
	bin, err := stack.Binaries(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(verifier), 0o700); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\nexec %s/imagefit verify \"$@\" --config %s\n", bin, f.Config)
	if err := os.WriteFile(verifier, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	sentence := "verifier imagefit-verify rejected image (exit code 3): imagefit: no variant of " + unfit.Ref("1") +
		" fits this node: linux/amd64 needs cpu.cpuid AMXINT8 (absent); linux/amd64/v3 needs cpu.cpuid AMXINT8 (absent)"
	if err := pull(unfit.Ref("1")); err == nil || !strings.Contains(err.Error(), sentence) {
		t.Errorf("pulled what does not fit: %v\nwant %s", err, sentence)
	}
	if err := pull(fits.Ref("1")); err != nil {
		t.Errorf("what fits: %v", err)
	}
	// cri-proxy chooses nevertheless, and what it chooses passes.
	f.wantRuns(t, fits.Ref("1"), f.pull(t, fits.Ref("1")), "amd64/v3")

	// Without the credentials of the pull it sees nothing, and refuses nothing.
	private, _, manifests := f.push(t, "private/app", variants("amd64")...)
	needs(t, private, manifests[0], `"cpu-cpuid.AMXINT8": true`)
	f.registry.RequireBasic(map[string]stack.User{"alice": {Password: "a"}})
	if _, err := direct.Pull(t.Context(), private.Ref("1"), auth("alice", "a")); err != nil {
		t.Errorf("what needs credentials: %v", err)
	}
}
