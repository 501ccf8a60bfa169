package integration

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/imagefit/imagefit/integration/stack"
)

func TestLevelIsChosenWithNoArtifactAtAll(t *testing.T) {
	tests := []struct {
		name, flags, want string
	}{
		{"AVX2", flagsV3, "amd64/v3"},
		{"no AVX2", flagsV2, "amd64"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := startFit(t, tt.flags, stack.Settings{})
			repo, _, _ := f.push(t, "app", variants("amd64", "amd64/v3", "amd64/v4", "arm64")...)
			id := f.pull(t, repo.Ref("1"))
			wantID(t, f.cri, id, repo.Ref("1"), id)
			f.wantRuns(t, repo.Ref("1"), id, tt.want)
		})
	}
}

func TestRequirementsDecideWhichVariantIsPulled(t *testing.T) {
	tests := []struct {
		name  string
		needs map[int]string // by entry
		want  string
	}{
		{"AVX2 is there", map[int]string{1: `"cpu-cpuid.AVX2": true`}, "amd64/v3"},
		{"a missing flag is out", map[int]string{1: `"cpu-cpuid.AVX2": true, "cpu-cpuid.AMXINT8": true`}, "amd64"},
		{"a newer kernel is out", map[int]string{1: `"kernel-version.major": 6, "kernel-version.minor": 8`}, "amd64"},
		{"an older kernel is in", map[int]string{1: `"kernel-version.major": 5, "kernel-version.minor": 14`}, "amd64/v3"},
		{"unknown ranks behind known", map[int]string{1: `"org.example.license": "gold"`}, "amd64"},
		{"unknown is better than unfit", map[int]string{0: `"cpu-cpuid.AMXINT8": true`, 1: `"org.example.license": "gold"`}, "amd64/v3"},
	}
	f := startFit(t, flagsV3, stack.Settings{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name := strings.ReplaceAll(strings.ToLower(tt.name), " ", "-")
			repo, _, manifests := f.push(t, name, variants("amd64", "amd64/v3")...)
			for i, attributes := range tt.needs {
				needs(t, repo, manifests[i], attributes)
			}
			id := f.pull(t, repo.Ref("1"))
			wantID(t, f.cri, id, repo.Ref("1"))
			f.wantRuns(t, repo.Ref("1"), id, tt.want)
		})
	}
}

func TestArtifactOfTheIndexAppliesToEveryEntry(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{})
	repo, index, manifests := f.push(t, "app", variants("amd64", "amd64/v3")...)
	needs(t, repo, index, `"cpu-cpuid.AMXINT8": true`)
	if _, err := f.cri.Pull(t.Context(), repo.Ref("1"), stack.PullOptions{}); err == nil {
		t.Error("pulled although the index needs what the node lacks")
	}
	needs(t, repo, manifests[0], `"kernel-version.major": 5`) // goes before that of the index
	f.wantRuns(t, repo.Ref("1"), f.pull(t, repo.Ref("1")), "amd64")
}

// The sentence is what `kubectl describe pod` shows.
func TestPullIsRefusedWhenNoVariantFits(t *testing.T) {
	testNothingFits(t, startFit(t, flagsV2, stack.Settings{}))
}

func testNothingFits(t *testing.T, f *fit) {
	repo, _, manifests := f.push(t, "app", variants("amd64/v3", "amd64", "arm64")...)
	needs(t, repo, manifests[0], `"cpu-cpuid.AVX2": true`)
	needs(t, repo, manifests[1], `"kernel-version.major": 6, "kernel-version.minor": 8`)
	ref := repo.Ref("1")

	_, err := f.cri.Pull(t.Context(), ref, stack.PullOptions{})
	want := "imagefit: no variant of " + ref + " fits this node: " +
		"linux/amd64/v3 needs cpu.x86_64 level >= 3 (is 2), cpu.cpuid AVX2 (absent); " +
		"linux/amd64 needs kernel.version >= 6.8 (is 6.1.0-18-amd64)"
	if status.Code(err) != codes.Unknown || status.Convert(err).Message() != want {
		t.Errorf("pull: %v\nwant code Unknown and\n%s", err, want)
	}
	if records := f.records(t); len(records) != 0 {
		t.Errorf("a refused pull left %s", names(records))
	}
	t.Run("exempt", func(t *testing.T) {
		for name, opts := range map[string]stack.PullOptions{
			"namespace":  {Namespace: "kube-system"},
			"static pod": {Annotations: map[string]string{"kubernetes.io/config.source": "file"}},
		} {
			if _, err := f.cri.Pull(t.Context(), ref, opts); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestAuditModeForwardsEveryPull(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{Policy: `mode = "audit"`})
	repo, index, manifests := f.push(t, "app", variants("amd64", "amd64/v3")...)
	needs(t, repo, manifests[0], `"cpu-cpuid.AMXINT8": true`)
	id := f.pull(t, repo.Ref("1"))
	f.wantRuns(t, repo.Ref("1"), id, "amd64")
	if got := f.records(t)[repo.Ref("1")]; got != index.Digest {
		t.Errorf("%s points at %s, want the index %s as on containerd alone", repo.Ref("1"), got, index.Digest)
	}
	if log := f.proxyLog(t); !strings.Contains(log, "would=pulled") || !strings.Contains(log, "linux/amd64/v3") {
		t.Error("the log does not say what would have been chosen")
	}
}

// Artifacts of several dialects on one manifest hold together.
func TestArtifactsOfSeveralDialectsApplyTogether(t *testing.T) {
	f := startFit(t, flagsV3, stack.Settings{})
	nfd := func(flag string) stack.Artifact {
		return stack.Artifact{
			Type:      "application/vnd.nfd.image-compatibility.v1alpha1",
			LayerType: "application/vnd.nfd.image-compatibility.spec.v1alpha1+yaml",
			Body: []byte("version: v1alpha1\ncompatibilities:\n- rules:\n  - name: cpu\n    matchFeatures:\n" +
				"    - feature: cpu.cpuid\n      matchExpressions:\n        " + flag + ": {op: Exists}\n"),
		}
	}
	compspec := stack.Artifact{
		Type: "application/org.supercontainers.compspec", LayerType: "application/org.supercontainers.compspec",
		Body: []byte(`{"version": "0.0.0", "kind": "CompatibilitySpec", "metadata": {"name": "x"}, "compatibilities": [
			{"name": "io.archspec", "version": "0.0.0", "attributes": {"cpu.target": "aarch64"}}]}`),
	}
	tests := []struct {
		name      string
		artifacts []stack.Artifact
		want      string
	}{
		{"nfd-holds", []stack.Artifact{nfd("AVX2")}, "amd64/v3"},
		{"nfd-does-not", []stack.Artifact{nfd("AVX512F")}, "amd64"},
		{"compspec-does-not", []stack.Artifact{compspec}, "amd64"},
		{"together", []stack.Artifact{nfd("AVX2"), compspec}, "amd64"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			repo, _, manifests := f.push(t, tt.name, variants("amd64", "amd64/v3")...)
			for _, artifact := range tt.artifacts {
				if _, err := repo.Attach(t.Context(), manifests[1], artifact); err != nil {
					t.Fatal(err)
				}
			}
			f.wantRuns(t, repo.Ref("1"), f.pull(t, repo.Ref("1")), tt.want)
		})
	}
}
