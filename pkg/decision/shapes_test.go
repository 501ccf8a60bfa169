package decision

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
)

// shape is an index as some tool writes it, from testdata/indexes. A digest "@name"
// is that of the content of this name, or else of an image for the platform of the
// entry.
type shape struct {
	r        *fakeregistry.Registry
	contents map[string]map[string]any
	pushed   map[string]ocispec.Descriptor
}

// pushShape stores the index of a file of testdata/indexes as tag 1.
func pushShape(t *testing.T, r *fakeregistry.Registry, name string) ocispec.Descriptor {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", "indexes", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Index    map[string]any            `json:"index"`
		Contents map[string]map[string]any `json:"contents"`
	}
	if err := json.Unmarshal(body, &file); err != nil {
		t.Fatal(err)
	}
	s := shape{r, file.Contents, map[string]ocispec.Descriptor{}}
	s.fill(file.Index, "")
	return r.Manifest(file.Index["mediaType"].(string), file.Index, "1")
}

// fill puts real digests and sizes in the place of names.
func (s shape) fill(value any, key string) {
	switch v := value.(type) {
	case []any:
		for _, member := range v {
			s.fill(member, key)
		}
	case map[string]any:
		if name, ok := strings.CutPrefix(fmt.Sprint(v["digest"]), "@"); ok {
			desc := s.push(name, v, key)
			v["digest"], v["size"] = desc.Digest, desc.Size
		}
		for key, member := range v {
			s.fill(member, key)
		}
	}
}

func (s shape) push(name string, entry map[string]any, key string) ocispec.Descriptor {
	if desc, ok := s.pushed[name]; ok {
		return desc
	}
	mediaType, _ := entry["mediaType"].(string)
	var desc ocispec.Descriptor
	content, ok := s.contents[name]
	switch {
	case !ok:
		desc = s.r.Image(platformText(entry), name)
	case key == "config":
		body, _ := json.Marshal(content)
		desc = s.r.Blob(mediaType, string(body))
	default:
		s.fill(content, "")
		desc = s.r.Manifest(mediaType, content)
	}
	s.pushed[name] = desc
	return desc
}

// platformText is the platform of an entry, as the test registry's image takes it.
func platformText(entry map[string]any) string {
	platform, _ := entry["platform"].(map[string]any)
	text := fmt.Sprint(platform["os"], "/", platform["architecture"])
	if variant, ok := platform["variant"]; ok {
		text += fmt.Sprint("/", variant)
	}
	return text
}

// Indexes as people's tools write them, on nodes of x86-64-v3 unless the row says
// otherwise.
func TestIndexesOfEveryTool(t *testing.T) {
	t.Parallel()
	const otherArch = "for another architecture"
	tests := []struct {
		shape   string
		level   int
		choice  string // or "none"
		runtime string // what containerd takes unasked
		others  []string
		reason  string // a part of it
		reads   int    // requests for more than the index, the lists of referrers apart
	}{
		{shape: "crane", choice: "linux/amd64/v3", runtime: "linux/amd64", others: []string{otherArch}},
		{shape: "crane-docker", choice: "linux/amd64/v3", runtime: "linux/amd64"},
		{shape: "buildx-attestations", choice: "linux/amd64/v3", runtime: "linux/amd64", others: []string{otherArch, "attestation"}},
		{shape: "buildx-nested", choice: "linux/amd64/v3", runtime: "linux/amd64", others: []string{"attestation", otherArch}, reads: 2},
		{shape: "nested-without-platform", choice: "linux/amd64/v3", runtime: "linux/amd64", others: []string{otherArch}, reads: 2},
		{shape: "nerdctl", choice: "linux/amd64/v3", runtime: "linux/amd64@"},
		{shape: "nerdctl", level: 1, choice: "linux/amd64@", runtime: "linux/amd64@", reads: 1},
		{shape: "soci-v2", choice: "linux/amd64/v3", runtime: "linux/amd64", others: []string{"artifact of type application/vnd.amazon.soci.index.v2+json"}},
		{shape: "soci-standalone", choice: "linux/amd64", runtime: "linux/amd64",
			others: []string{"artifact of type application/vnd.amazon.soci.index.v2+json"}, reads: 1},
		{shape: "spack", choice: "linux/amd64", runtime: "linux/amd64", others: []string{otherArch}, reason: "the only variant"},
		{shape: "rules-img", choice: "linux/amd64", runtime: "none", others: []string{"artifact of type application/vnd.example.binaries.v1", otherArch}, reads: 1},
		{shape: "rules-img-v3", choice: "linux/amd64/v3", runtime: "linux/amd64@"},
		{shape: "docker-hub", choice: "linux/amd64", runtime: "linux/amd64",
			others: []string{"attestation", otherArch, "for another operating system"}, reason: "the best of 2"},
		{shape: "helm-stray", choice: "linux/amd64/v3", runtime: "linux/amd64", others: []string{"artifact of type application/vnd.cncf.helm.config.v1+json"}, reads: 1},
		{shape: "nydus", choice: "linux/amd64@", runtime: "linux/amd64@"},
		{shape: "nydus-first", choice: "linux/amd64@", runtime: "linux/amd64@"},
		{shape: "erofs-v3", choice: "linux/amd64/v3@", runtime: "linux/amd64"},
		{shape: "erofs-only", choice: "linux/amd64", runtime: "none", reason: "may fit"},
		{shape: "docker-features", choice: "linux/amd64", runtime: "linux/amd64", others: []string{otherArch}, reason: "may fit: it needs platform/features sse4"},
		{shape: "docker-features-beside", choice: "linux/amd64@", runtime: "linux/amd64@", reads: 1},
		{shape: "lone-v3", choice: "linux/amd64/v3", runtime: "none", others: []string{otherArch}},
		{shape: "lone-v3", level: 2, choice: "none", runtime: "none", others: []string{otherArch},
			reason: "no variant of " + app + " fits this node: linux/amd64/v3 needs cpu.x86_64 level >= 3 (is 2)"},
		{shape: "almalinux-10", choice: "linux/amd64/v2", runtime: "linux/amd64", others: []string{otherArch}},
		{shape: "almalinux-10", level: 1, choice: "linux/amd64", runtime: "linux/amd64", others: []string{otherArch}},
		{shape: "handwritten", choice: "linux/amd64/v3", runtime: "none", others: []string{otherArch}, reads: 6},
		{shape: "handwritten-empty-platform", choice: "linux/amd64/v3", runtime: "linux/amd64", reads: 2},
		{shape: "artifact-typed-image", choice: "none", runtime: "none", others: []string{"artifact of type application/vnd.example.app.v1"},
			reason: "is left to the runtime: it may take an entry that is not evaluated (linux/amd64@sha256:"},
		{shape: "artifact-typed-image", level: 4, choice: "linux/amd64/v4", runtime: "none", others: []string{"artifact of type application/vnd.example.app.v1"}},
		{shape: "only-artifacts", choice: "none", runtime: "none",
			others: []string{"artifact of type application/spdx+json", "artifact of type application/vnd.example.binaries.v1"},
			reason: "has no entry for linux/amd64 (there are artifact of type application/spdx+json, artifact of type application/vnd.example.binaries.v1)"},
		{shape: "broken-entries", choice: "linux/amd64/v3", runtime: "linux/amd64",
			others: []string{`digest "sha512:`, "size is 0", "cannot be read: "}, reads: 1},
	}
	for _, tt := range tests {
		level := tt.level
		if level == 0 {
			level = 3
		}
		t.Run(fmt.Sprintf("%s on level %d", tt.shape, level), func(t *testing.T) {
			t.Parallel()
			r := newTestRegistry(t)
			pushShape(t, r, tt.shape)
			d := decide(t, newTestResolver(t, r, testkit.Node(level)), app)
			runtime := "none"
			if d.Default != None {
				runtime = d.Label(d.Default)
			}
			if !strings.HasPrefix(chosen(d), tt.choice) || !strings.HasPrefix(runtime, tt.runtime) || !strings.Contains(d.Reason, tt.reason) {
				t.Errorf("chose %s, the runtime %s, want %s and %s\nreason %s", chosen(d), runtime, tt.choice, tt.runtime, d.Reason)
			}
			checkOthers(t, d, tt.others)
			reads := slices.DeleteFunc(r.Requests(), func(asked string) bool {
				return asked == "GET manifests/1" || strings.Contains(asked, "referrers/")
			})
			if len(reads) != tt.reads {
				t.Errorf("requests %q, want %d", reads, tt.reads)
			}
			if again := decide(t, newTestResolver(t, r, testkit.Node(level)), app); chosen(again) != chosen(d) || again.Reason != d.Reason {
				t.Errorf("the second time %s: %s", chosen(again), again.Reason)
			}
		})
	}
}

// checkOthers checks why entries are not candidates, each reason once.
func checkOthers(t *testing.T, d *Decision, want []string) {
	t.Helper()
	var got []string
	for _, o := range d.Others {
		if !slices.Contains(got, o.Reason) {
			got = append(got, o.Reason)
		}
	}
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("others %q, want %q", got, want)
	}
}
