package integration

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/integration/stack"
)

func timeout(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), d)
}

// An artifact that cannot be read makes what it is about unknown, which ranks
// behind what is known; the log says so once, and no pull fails or hangs.
func TestBrokenArtifactsRankTheirVariantBehindKnownOnes(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{Proxy: `select_timeout = "2s"`})
	tests := []struct {
		name     string
		artifact stack.Artifact
		fault    *stack.Fault
		problem  string
	}{
		{name: "no JSON", artifact: stack.Artifact{Body: []byte(`{"compatibilities": {"cpu": {"target": "arm64",}}}`)}},
		{name: "nested", artifact: stack.Artifact{Body: []byte(`{"compatibilities": {"cpu": {"a": {"b": 1}}}}`)}},
		{name: "deep", artifact: stack.Artifact{Body: []byte(strings.Repeat("[", 100_000))}},
		{name: "oversized", artifact: stack.Artifact{Body: bytes.Repeat([]byte(" "), 4<<20+1)}, problem: "artifact"},
		{name: "wrong layer type", artifact: stack.Artifact{Body: []byte(`{}`), LayerType: "text/plain"}, problem: "media type"},
		{name: "digest mismatch", artifact: stack.Artifact{Body: []byte(`{"compatibilities": {"nfd": {"cpu-cpuid.AVX2": true}}}`)},
			fault: &stack.Fault{Path: "/blobs/", Corrupt: true}, problem: "artifact"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name := "bad/" + strings.ReplaceAll(strings.ToLower(tt.name), " ", "-")
			repo, _, manifests := f.push(t, name, variants("amd64", "amd64/v3")...)
			artifact, err := repo.Attach(t.Context(), manifests[1], tt.artifact)
			if err != nil {
				t.Fatal(err)
			}
			if tt.fault != nil {
				tt.fault.Path += digest.FromBytes(tt.artifact.Body).String()
				t.Cleanup(f.registry.Inject(*tt.fault))
			}
			before := len(f.proxyLog(t))
			f.wantRuns(t, repo.Ref("1"), f.pull(t, repo.Ref("1")), "amd64")
			log := f.proxyLog(t)[before:]
			if tt.problem != "" && strings.Count(log, `msg="cannot read compatibility artifact"`) != 1 {
				t.Errorf("the log says nothing of %s, or not once:\n%s", artifact.Digest, log)
			}
		})
	}
}

func TestMalformedArtifactIsHandledAsThePolicySays(t *testing.T) {
	for policy, want := range map[string]string{"unknown": "amd64", "ignore": "amd64/v3", "unfit": "amd64"} {
		t.Run(policy, func(t *testing.T) {
			f := startFit(t, flagsV3, stack.Settings{Policy: fmt.Sprintf("malformed_artifact = %q", policy)})
			repo, _, manifests := f.push(t, "app", variants("amd64", "amd64/v3")...)
			if _, err := repo.Attach(t.Context(), manifests[1], stack.Artifact{Body: []byte(`{`)}); err != nil {
				t.Fatal(err)
			}
			f.wantRuns(t, repo.Ref("1"), f.pull(t, repo.Ref("1")), want)
		})
	}
}

// The runtime chooses from an index that imagefit does not evaluate.
func TestUnsupportedIndexesAreLeftToTheRuntime(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{})
	repo, index, manifests := f.push(t, "app", variants("amd64", "amd64/v3")...)
	many := []ocispec.Descriptor{manifests[0], manifests[1]}
	for i := range 9_998 {
		fake := manifests[1]
		fake.Digest = digest.FromString(fmt.Sprint(i))
		many = append(many, fake)
	}
	deep := index
	for range 20 {
		var err error
		if deep, err = repo.PushIndexOf(t.Context(), "", deep); err != nil {
			t.Fatal(err)
		}
	}
	for name, entries := range map[string][]ocispec.Descriptor{
		"entries": many,
		"nested":  {manifests[0], deep},
		"missing": {manifests[0], fakeEntry(manifests[1])},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := repo.PushIndexOf(t.Context(), name, entries...); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			_, got := f.cri.Pull(t.Context(), repo.Ref(name), stack.PullOptions{})
			took := time.Since(start)
			_, want := f.containerd.CRI.Pull(t.Context(), repo.Ref(name), stack.PullOptions{})
			if (got == nil) != (want == nil) {
				t.Errorf("through the proxy: %v, directly: %v", got, want)
			}
			if took > 8*time.Second {
				t.Errorf("the pull took %s", took)
			}
		})
	}
	f.wantRuns(t, repo.Ref("1"), f.pull(t, repo.Ref("1")), "amd64/v3") // the proxy is well
}

func fakeEntry(d ocispec.Descriptor) ocispec.Descriptor {
	d.Digest = digest.FromString("not in any registry")
	return d
}

func TestHostileRegistryNeitherBlocksNorMisleadsAPull(t *testing.T) {
	stranger := startRegistry(t)
	for name, fault := range map[string]stack.Fault{
		"redirects for ever": {Path: "/referrers/", Redirect: "/v2/app/referrers/sha256:" + strings.Repeat("0", 64)},
		"redirects away":     {Path: "/referrers/", Redirect: "http://" + stranger.Host + "/v2/"},
		"trickles":           {Path: "/referrers/", Trickle: 300 * time.Millisecond},
		"answers HTML":       {Path: "/referrers/", Status: 500},
	} {
		t.Run(name, func(t *testing.T) {
			f := startFit(t, flagsV3, stack.Settings{Proxy: `select_timeout = "1s"`})
			repo, _, _ := f.push(t, "app", variants("amd64", "amd64/v3")...)
			f.registry.Inject(fault)
			start := time.Now()
			id := f.pull(t, repo.Ref("1"))
			if took := time.Since(start); took > 4*time.Second {
				t.Errorf("the pull took %s with a budget of 1 s", took)
			}
			wantID(t, f.cri, id, repo.Ref("1"))
			f.pull(t, repo.Ref("1"))
		})
	}
}
