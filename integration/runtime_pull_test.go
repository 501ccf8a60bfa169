package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/integration/stack"
)

// Where the runtime verifies images, a variant is not what was signed: the pull is
// forwarded unchanged and the log says why, unless the policy says otherwise. The
// verifier is installed while the proxy runs.
func TestVerifiedImagesAreForwarded(t *testing.T) {
	for policy, variant := range map[string]string{"": "amd64", `image_verifier = "select"`: "amd64/v3"} {
		t.Run(variant, func(t *testing.T) {
			f := startFitWith(t, startRuntime(t, stack.Options{}), startRegistry(t), flagsV3, stack.Settings{Policy: policy})
			repo, _, _ := f.push(t, "before", variants("amd64", "amd64/v3")...)
			f.wantRuns(t, repo.Ref("1"), f.pull(t, repo.Ref("1")), "amd64/v3")

			dir := filepath.Join(f.containerd.Dir, "verifiers")
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "signed"), []byte("#!/bin/sh\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			repo, _, _ = f.push(t, "app", variants("amd64", "amd64/v3")...)
			f.wantRuns(t, repo.Ref("1"), f.pull(t, repo.Ref("1")), variant)
			said := strings.Contains(f.proxyLog(t), "the runtime verifies images (signed)")
			if said != (policy == "") {
				t.Errorf("the log says why: %t", said)
			}
		})
	}
}

// Where the runtime is configured to unpack plain platforms only, a higher level
// would be pulled and never run: the plain one is taken, and the log warns.
func TestVariantThatWouldStayPackedIsNotChosen(t *testing.T) {
	options := stack.Options{Extra: transferTable + "check_platform_supported = true\n"}
	f := startFitWith(t, startRuntime(t, options), startRegistry(t), flagsV3, stack.Settings{})
	repo, _, _ := f.push(t, "app", variants("amd64/v3", "amd64")...)
	f.wantRuns(t, repo.Ref("1"), f.pull(t, repo.Ref("1")), "amd64")
	if log := f.proxyLog(t); !strings.Contains(log, "check_platform_supported = true") {
		t.Error("the log does not warn")
	}
}
