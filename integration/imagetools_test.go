package integration

import (
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/integration/stack"
)

// What containers of the variants say of themselves, in part.
const plain, v3 = "variant=amd64@", "variant=amd64/v3@"

// pair is a node with imagefit and one without, and the tools that people make
// indexes with.
type pair struct {
	*fit
	direct *stack.Containerd
	tools  *stack.ImageTools
}

func startPair(t *testing.T, version, flags string) *pair {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: needs the tools that make indexes")
	}
	f := startFitWith(t, startContainerd(t, stack.Options{Version: version}), startRegistry(t), flags, stack.Settings{})
	tools, err := f.registry.ImageTools(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &pair{f, startContainerd(t, stack.Options{Version: version}), tools}
}

// pushEach pushes variants that no other repository has, without an index around
// them, and returns their references.
func (p *pair) pushEach(t *testing.T, repo *stack.Repo, names ...string) (refs []string, manifests []ocispec.Descriptor) {
	t.Helper()
	for _, image := range variants(names...) {
		image.Variant += "@" + repo.Ref("")
		manifest, err := repo.PushImage(t.Context(), "", image)
		if err != nil {
			t.Fatal(err)
		}
		refs, manifests = append(refs, repo.DigestRef(manifest)), append(manifests, manifest)
	}
	return refs, manifests
}

// outcome pulls a reference and runs it: what the container says of itself, or the
// error.
func outcome(t *testing.T, cri *stack.CRI, ref string) string {
	t.Helper()
	id, err := cri.Pull(t.Context(), ref, stack.PullOptions{})
	if err != nil {
		return "pull: " + err.Error()
	}
	said, err := run(t.Context(), cri, ref, stack.PodOptions{ImageRef: id})
	if err != nil {
		return "run: " + err.Error()
	}
	return said
}

// want checks what runs without imagefit and through it; the texts are parts of the
// outcomes. extra is how many manifests more the first pull requests: registries count
// these requests.
func (p *pair) want(t *testing.T, ref, direct, through string, extra int) {
	t.Helper()
	p.registry.Forget()
	if got := outcome(t, p.direct.CRI, ref); !strings.Contains(got, direct) {
		t.Errorf("without imagefit: %s, want %q", got, direct)
	}
	alone := p.cost()
	if got := outcome(t, p.cri, ref); !strings.Contains(got, through) {
		t.Errorf("through imagefit: %s, want %q", got, through)
	}
	first := p.cost()
	_ = outcome(t, p.cri, ref)
	again := p.cost()
	t.Logf("without %v, through imagefit %v, again %v", alone, first, again)
	if got := first["GET manifests"] - alone["GET manifests"]; got > extra {
		t.Errorf("the first pull requests %d manifests more than without imagefit, want %d", got, extra)
	}
	if again["GET manifests"]+again["GET blobs"] > 0 {
		t.Errorf("the second pull requests %v", again)
	}
}

// cost counts the requests since it was called last, by method and kind.
func (p *pair) cost() map[string]int {
	counts := map[string]int{}
	for _, r := range p.registry.Requests() {
		for _, kind := range []string{"manifests", "blobs", "referrers"} {
			if strings.Contains(r.Path, "/"+kind+"/") {
				counts[r.Method+" "+kind]++
			}
		}
	}
	p.registry.Forget()
	return counts
}

func TestIndexesOfRealToolsAreChosenFrom(t *testing.T) {
	p := startPair(t, stack.Containerd24, flagsV3)
	for _, tool := range append(stack.IndexTools(), "ko") {
		t.Run(tool, func(t *testing.T) {
			repo := p.registry.Repo("of-" + tool)
			refs, _ := p.pushEach(t, repo, "amd64", "amd64/v3", "arm64")
			var err error
			if tool == "ko" {
				if err = p.tools.Index(t.Context(), "crane", repo, "base", refs...); err == nil {
					err = p.tools.Ko(t.Context(), repo, "1", repo.Ref("base"), "linux/amd64", "linux/amd64/v3", "linux/arm64")
				}
			} else {
				err = p.tools.Index(t.Context(), tool, repo, "1", refs...)
			}
			if err != nil {
				t.Fatal(err)
			}
			p.want(t, repo.Ref("1"), plain, v3, 0)
		})
	}
}

func TestUnfitVariantsOfCraneAreRefused(t *testing.T) {
	p := startPair(t, stack.Containerd24, flagsV3)
	repo := p.registry.Repo("unfit")
	refs, manifests := p.pushEach(t, repo, "amd64", "amd64/v3")
	for _, manifest := range manifests {
		needs(t, repo, manifest, `"kernel-version.major": 99`)
	}
	if err := p.tools.Index(t.Context(), "crane", repo, "1", refs...); err != nil {
		t.Fatal(err)
	}
	p.want(t, repo.Ref("1"), plain, "imagefit: no variant of "+repo.Ref("1")+" fits this node: linux/amd64 needs kernel.version >= 99 (is 6.1.0-18-amd64)", len(manifests)) // the artifacts
}

func TestIndexesWithStrayEntriesAreChosenFrom(t *testing.T) {
	for _, version := range stack.Versions() {
		t.Run(version, func(t *testing.T) { testStrayEntries(t, startPair(t, version, flagsV3)) })
	}
}

func testStrayEntries(t *testing.T, p *pair) {
	const noMatch = "no match for platform"
	index := func(t *testing.T, name string, entries ...string) string {
		t.Helper()
		repo := p.registry.Repo(name)
		if err := p.tools.Index(t.Context(), "oras", repo, "1", entries...); err != nil {
			t.Fatal(err)
		}
		return repo.Ref("1")
	}
	t.Run("nested", func(t *testing.T) {
		repo := p.registry.Repo("nested")
		refs, _ := p.pushEach(t, repo, "amd64", "amd64/v3", "arm64")
		for tag, refs := range map[string][]string{"x86": refs[:2], "arm": refs[2:]} {
			if err := p.tools.Index(t.Context(), "regctl", repo, tag, refs...); err != nil {
				t.Fatal(err)
			}
		}
		p.want(t, index(t, "nested", repo.Ref("x86"), repo.Ref("arm")), plain, v3, 1) // the other index within
	})
	t.Run("only v3", func(t *testing.T) {
		refs, _ := p.pushEach(t, p.registry.Repo("lone"), "amd64/v3", "arm64")
		p.want(t, index(t, "lone", refs...), noMatch, v3, 1) // which alone fails before it requests the manifest
	})
	t.Run("only v4", func(t *testing.T) {
		refs, _ := p.pushEach(t, p.registry.Repo("too-high"), "amd64/v4")
		ref := index(t, "too-high", refs...)
		p.want(t, ref, noMatch, "imagefit: no variant of "+ref+" fits this node: linux/amd64/v4 needs cpu.x86_64 level >= 4 (is 3)", 0)
	})
	t.Run("only arm64", func(t *testing.T) {
		refs, _ := p.pushEach(t, p.registry.Repo("arm"), "arm64")
		p.want(t, index(t, "arm", refs...), noMatch, noMatch, 0)
		if log := p.proxyLog(t); !strings.Contains(log, "has no entry for linux/amd64 (there are linux/arm64)") {
			t.Error("the log does not say what there is")
		}
	})
	t.Run("artifact first", func(t *testing.T) {
		repo := p.registry.Repo("artifact")
		refs, _ := p.pushEach(t, repo, "amd64", "amd64/v3")
		if err := p.tools.Artifact(t.Context(), repo, "binaries", "application/vnd.example.binaries.v1"); err != nil {
			t.Fatal(err)
		}
		p.want(t, index(t, "artifact", append([]string{repo.Ref("binaries")}, refs...)...), plain, v3, 0)
	})
	for name, artifactType := range map[string]string{"": "", ", with its type": "application/vnd.example.binaries.v1"} {
		t.Run("artifact first, under the platform of the image"+name, func(t *testing.T) { testTwin(t, p, artifactType) })
	}
	t.Run("no platform", func(t *testing.T) {
		repo := p.registry.Repo("unstated")
		_, manifests := p.pushEach(t, repo, "arm64", "amd64", "amd64/v3")
		for i := range manifests {
			manifests[i].Platform = nil
		}
		if _, err := repo.PushIndexOf(t.Context(), "1", manifests...); err != nil {
			t.Fatal(err)
		}
		p.want(t, repo.Ref("1"), "", v3, 2) // the other manifests
	})
	t.Run("plain", func(t *testing.T) {
		refs, _ := p.pushEach(t, p.registry.Repo("plain"), "amd64", "arm64")
		p.want(t, index(t, "plain", refs...), plain, plain, 0)
	})
	t.Run("single", func(t *testing.T) {
		repo := p.registry.Repo("single")
		image := variants("amd64")[0]
		image.Variant += "@single"
		if _, err := repo.PushImage(t.Context(), "1", image); err != nil {
			t.Fatal(err)
		}
		p.want(t, repo.Ref("1"), plain, plain, 0)
	})
}

// testTwin lists an artifact first, under the platform of the image: the containers of
// the runtime by itself cannot be created.
func testTwin(t *testing.T, p *pair, artifactType string) {
	t.Helper()
	repo := p.registry.Repo("twin" + strings.TrimPrefix(artifactType, "application/"))
	_, manifests := p.pushEach(t, repo, "amd64")
	artifact, err := repo.Attach(t.Context(), manifests[0], stack.Artifact{Type: "application/vnd.example.binaries.v1", Body: []byte("{}")})
	if err != nil {
		t.Fatal(err)
	}
	artifact.ArtifactType, artifact.Platform = artifactType, manifests[0].Platform
	if _, err := repo.PushIndexOf(t.Context(), "1", artifact, manifests[0]); err != nil {
		t.Fatal(err)
	}
	p.want(t, repo.Ref("1"), "run: ", plain, 2) // the artifact, as a referrer and as an entry
}
