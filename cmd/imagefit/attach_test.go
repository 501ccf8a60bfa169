package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/author/attach"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
)

const needsAVX2 = `{"compatibilities": {"nfd": {"cpu-cpuid.AVX2": true}}}`

// newRegistry starts a registry with an index, :1, of two images, and sees to
// it that no credentials of whoever runs the test are used.
func newRegistry(t *testing.T, o fakeregistry.Options) *fakeregistry.Registry {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	t.Setenv("REGISTRY_AUTH_FILE", "")
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	s := fakeregistry.New(t, o)
	s.Index("1", s.Image("linux/amd64", "a", "a"), s.Image("linux/amd64/v3", "b", "b"))
	return s
}

func TestAttachPushesAnArtifactThatListShows(t *testing.T) {
	s := newRegistry(t, fakeregistry.Options{Strict: true})
	file := write(t, "needs.json", needsAVX2)
	got := tool(t, "", "attach", s.Reference(":1"), file, "--platform", "linux/amd64/v3")
	if got.err != nil {
		t.Fatal(got.err)
	}
	if !regexp.MustCompile(`^sha256:[0-9a-f]{64}\n$`).MatchString(got.stdout) {
		t.Errorf("stdout %q", got.stdout)
	}
	for _, want := range []string{"needs.json: proposal-f, requirements: 1", "entry 1 of the index, linux/amd64/v3", "push the layer", "push the manifest"} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("stderr %q lacks %q", got.stderr, want)
		}
	}
	var listing attach.Listing
	if err := json.Unmarshal([]byte(toolOK(t, "list", s.Reference(":1"), "-o", "json")), &listing); err != nil {
		t.Fatal(err)
	}
	if len(listing.Artifacts) != 0 || len(listing.Entries) != 2 || len(listing.Entries[1].Artifacts) != 1 ||
		string(listing.Entries[1].Artifacts[0].Digest) != strings.TrimSpace(got.stdout) {
		t.Errorf("listing: %+v", listing)
	}
}

func TestAttachToAnIndexPrintsWhatWasDoneAsJSON(t *testing.T) {
	s := newRegistry(t, fakeregistry.Options{Strict: true, NoReferrersAPI: true})
	got := tool(t, needsAVX2, "attach", s.Reference(":1"), "-", "-o", "json")
	if got.err != nil {
		t.Fatal(got.err)
	}
	var result attached
	if err := json.Unmarshal([]byte(got.stdout), &result); err != nil {
		t.Fatal(err)
	}
	if result.Platform != "" || !result.ReferrersTag || result.Dialect != "proposal-f" || result.LayerType != dialect.LayerTypeOutline || s.Get(result.Digest) == nil {
		t.Errorf("result: %+v", result)
	}
	for _, want := range []string{"the index itself, of 2 images", "no referrers API"} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("stderr %q lacks %q", got.stderr, want)
		}
	}
	if m := s.Get(result.Digest); m == nil || m.Subject.Digest != result.Subject || m.Layers[0].Annotations != nil {
		t.Errorf("manifest: %+v", m)
	}
}

func TestAttachDryRunPushesNothing(t *testing.T) {
	s := newRegistry(t, fakeregistry.Options{Strict: true})
	file := write(t, "needs.json", needsAVX2)
	toolOK(t, "attach", s.Reference(":1"), file, "-q")
	s.Requests()
	got := toolOK(t, "attach", s.Reference(":1"), file, "--dry-run", "--replace")
	if writes := fakeregistry.Writes(s.Requests()); len(writes) > 0 {
		t.Errorf("dry run asked for %q", writes)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal([]byte(got), &m); err != nil || m.ArtifactType != dialect.ArtifactType || m.Subject == nil {
		t.Errorf("manifest %s: %v", got, err)
	}
}

func TestAttachKeepsEarlierArtifactsUnlessToldToReplaceThem(t *testing.T) {
	tests := map[string]struct {
		options fakeregistry.Options
		left    int // after --replace
		want    string
	}{
		"delete":    {fakeregistry.Options{Strict: true}, 1, ""},
		"no delete": {fakeregistry.Options{Strict: true, NoDelete: true}, 3, "2 older of this type stay attached, for the registry does not delete"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newRegistry(t, tt.options)
			ref, file := s.Reference(":1"), write(t, "needs.json", needsAVX2)
			toolOK(t, "attach", ref, file, "-q")
			if got := tool(t, "", "attach", ref, file); !strings.Contains(got.stderr, "1 older of this type stay attached and are no longer used") {
				t.Errorf("stderr %q", got.stderr)
			}
			got := tool(t, "", "attach", ref, file, "--replace", "-q")
			if got.err != nil || !strings.Contains(got.stderr, tt.want) {
				t.Fatalf("%v, stderr %q", got.err, got.stderr)
			}
			list := toolOK(t, "list", ref)
			counting := regexp.MustCompile(`  used  (sha256:\w+)`).FindAllStringSubmatch(list, -1)
			if strings.Count(list, "proposal-f") != tt.left || len(counting) != 1 || counting[0][1]+"\n" != got.stdout {
				t.Errorf("replaced by %s, list:\n%s", got.stdout, list)
			}
		})
	}
}

func TestAttachQuietPrintsOnlyNotesAndTheDigest(t *testing.T) {
	s := newRegistry(t, fakeregistry.Options{Strict: true})
	got := tool(t, "", "attach", s.Reference(":1"), write(t, "n.json", needsAVX2), "-q")
	if got.err != nil || got.stderr != "" {
		t.Errorf("%v, stderr %q", got.err, got.stderr)
	}
	got = tool(t, "", "attach", s.Reference(":1"), write(t, "n.json", `{"compatibilities": {}}`), "-q")
	if got.err != nil || !strings.Contains(got.stderr, "note: ") || !strings.Contains(got.stderr, "n.json requires nothing") {
		t.Errorf("%v, stderr %q", got.err, got.stderr)
	}
}

func TestAttachRefusesWhatReadersCouldNotUse(t *testing.T) {
	s := newRegistry(t, fakeregistry.Options{Strict: true})
	good := write(t, "needs.json", needsAVX2)
	ref := s.Reference(":1")
	tests := map[string]struct {
		args  []string
		want  []string
		quiet bool // asks the registry for nothing
	}{
		"broken file":    {[]string{ref, write(t, "bad.json", "{\n \"compatibilities\": {]}")}, []string{"bad.json: read as proposal-f: row 2, column"}, true},
		"no file":        {[]string{ref, "/nonexistent/x"}, []string{"/nonexistent/x"}, true},
		"dialect":        {[]string{ref, good, "--dialect", "x"}, []string{`invalid argument "x" for "--dialect"`, "compspec"}, true},
		"wrong dialect":  {[]string{ref, good, "--dialect", "compspec"}, []string{"needs.json: read as compspec: row 1, column"}, true},
		"layer type":     {[]string{ref, good, "--layer-type", "x/y"}, []string{`layer type "x/y" is not one of`}, true},
		"output":         {[]string{ref, good, "-o", "xml"}, []string{"-o"}, true},
		"reference":      {[]string{"HTTP://x", good}, []string{`read reference "HTTP://x"`}, true},
		"no such image":  {[]string{s.Reference(":2"), good}, []string{":2", "404 Not Found"}, false},
		"no such entry":  {[]string{ref, good, "--entry", "9"}, []string{"no entry 9, only 0 to 1"}, false},
		"other platform": {[]string{ref, good, "--platform", "linux/arm64"}, []string{"no entry for linux/arm64, only for linux/amd64, linux/amd64/v3"}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s.Requests()
			got := tool(t, "", append([]string{"attach"}, tt.args...)...)
			wantError(t, got.err, tt.want...)
			requests := s.Requests()
			if len(fakeregistry.Writes(requests)) > 0 || tt.quiet && len(requests) > 0 || got.stdout != "" {
				t.Errorf("asked %q, printed %q", requests, got.stdout)
			}
		})
	}
}

// A requirement that no CPU meets makes an image that fits no node, so it is found
// before it is pushed.
func TestAttachRefusesWhatLintCallsAnError(t *testing.T) {
	s := newRegistry(t, fakeregistry.Options{Strict: true})
	file := write(t, "bad.json", `{"compatibilities": {"nfd": {"cpu-cpuid.AVX22": true, "kernel-version.majro": 6, "kernel-version.major": "six"}}}`)
	got := tool(t, "", "attach", s.Reference(":1"), file)
	wantError(t, got.err, "bad.json: not pushed, lint finds 3 errors in it", "--force")
	for _, want := range []string{`no CPU has the flag "AVX22"; expected AVX`, "majro", "six"} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("stderr %q lacks %q", got.stderr, want)
		}
	}
	if requests := s.Requests(); len(requests) > 0 || got.stdout != "" {
		t.Errorf("asked %q, printed %q", requests, got.stdout)
	}
	if got := tool(t, "", "attach", s.Reference(":1"), file, "--force"); got.err != nil || !strings.Contains(got.stderr, "AVX22") {
		t.Errorf("forced: %v, stderr %q", got.err, got.stderr)
	}
}

func TestAttachPrintsWarningsAndPushes(t *testing.T) {
	s := newRegistry(t, fakeregistry.Options{Strict: true})
	file := write(t, "n.json", `{"compatibilities": {"nfd": {"cpu-cpuid.QUANTUM": true}}}`)
	got := tool(t, "", "attach", s.Reference(":1"), file, "-q")
	if got.err != nil || !strings.Contains(got.stderr, `warning: no CPU has the flag "QUANTUM"`) {
		t.Errorf("%v, stderr %q", got.err, got.stderr)
	}
}

func TestAttachUsesTheCredentialsOfDocker(t *testing.T) {
	s := newRegistry(t, fakeregistry.Options{Strict: true, Password: "right"})
	host := strings.TrimPrefix(s.URL, "http://")
	file := write(t, "needs.json", needsAVX2)
	const wrong, right = "YXV0aG9yOndyb25n", "YXV0aG9yOnJpZ2h0" // author:wrong, author:right
	for auth, want := range map[string]string{"": "not authorized", wrong: "401 Unauthorized", right: ""} {
		config := `{"auths": {"` + host + `": {"auth": "` + auth + `"}}}`
		if err := os.WriteFile(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		got := tool(t, "", "attach", s.Reference(":1"), file, "-q")
		if want == "" && got.err != nil {
			t.Errorf("right password: %v", got.err)
		}
		if want != "" {
			wantError(t, got.err, want, host)
		}
		if writes := fakeregistry.Writes(s.Requests()); (len(writes) > 0) != (want == "") {
			t.Errorf("auth %q: asked %q", auth, writes)
		}
	}
}

func TestListDrawsTheImageAsATree(t *testing.T) {
	s := newRegistry(t, fakeregistry.Options{Strict: true})
	ref := s.Reference(":1")
	file := write(t, "needs.json", needsAVX2)
	onIndex := strings.TrimSpace(toolOK(t, "attach", ref, file, "-q"))
	onEntry := strings.TrimSpace(toolOK(t, "attach", ref, file, "-q", "--entry", "0"))
	got := regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:]+Z`).ReplaceAllString(toolOK(t, "list", ref), "TIME")
	got = regexp.MustCompile(`sha256:[0-9a-f]{64}`).ReplaceAllStringFunc(got, func(d string) string {
		return map[string]string{onIndex: "ON-INDEX", onEntry: "ON-ENTRY"}[d] + "@"
	})
	want := strings.ReplaceAll(`REF  index  @
├── proposal-f  TIME  used  ON-INDEX@
├── [0] linux/amd64  @
│   └── proposal-f  TIME  used  ON-ENTRY@
└── [1] linux/amd64/v3  @
`, "REF", ref)
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	image := s.Reference("@" + s.Image("linux/arm64", "c", "c").Digest.String())
	if got := toolOK(t, "list", image); !strings.Contains(got, "  image  sha256:") || slices.Contains(strings.Split(got, "\n"), "└── ") {
		t.Errorf("single image: %s", got)
	}
}
