package description_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/pkg/description"
)

const requires = "requires = [\"x86_64 :: level :: v3\"]\n"

func parse(t *testing.T, text string) (*description.Set, error) {
	t.Helper()
	found, err := description.Parse(testkit.Interpreter(t), "/etc/imagefit/images.d/x.toml", []byte(text))
	return description.NewSet(found), err
}

func TestDescriptionsAreFoundByWhatTheyAreAbout(t *testing.T) {
	t.Parallel()
	d := digest.FromString("a")
	plain := description.Image{Repository: "docker.io/nvidia/cuda", Tag: "12.8.1-runtime-ubuntu24.04", Platform: "linux/amd64"}
	based := plain
	based.Base = description.Base{Name: "almalinux:10", Digest: digest.FromString("base")}
	byDigest := description.Image{Repository: "docker.io/library/x", Digests: []digest.Digest{"", d}, Platform: "linux/amd64/v3"}
	tests := []struct {
		about string
		image description.Image
		want  bool
	}{
		{`repositories = ["docker.io/nvidia/cuda"]`, plain, true},
		{`repositories = ["docker.io/nvidia/*"]`, plain, true},
		{`repositories = ["docker.io/*/*/*"]`, plain, false},
		{`repositories = ["docker.io/**"]`, plain, true},
		{`repositories = ["*/nvidia/cuda"]`, plain, true},
		{`repositories = ["nvcr.io/nvidia/cuda", "docker.io/nvidia/cuda"]`, plain, true},
		{`repositories = ["docker.io/nvidia/cud"]`, plain, false},
		{`repositories = ["docker.io/nvidia/cuda.*"]`, plain, false},
		{"repositories = [\"**/cuda\"]\ntags = [\"12.*-runtime-*\"]", plain, true},
		{"repositories = [\"**/cuda\"]\ntags = [\"12.*-devel-*\"]", plain, false},
		{"repositories = [\"**/x\"]\ntags = [\"1\"]", byDigest, false},
		{"repositories = [\"**/cuda\"]\nplatforms = [\"linux/amd64\"]", plain, true},
		{"repositories = [\"**/cuda\"]\nplatforms = [\"linux/arm64\"]", plain, false},
		{"digests = [\"" + d.String() + "\"]\nplatforms = [\"linux/amd64\"]", byDigest, false},
		{"digests = [\"" + d.String() + "\"]\nplatforms = [\"linux/amd64/*\"]", byDigest, true},
		{"digests = [\"" + d.String() + "\"]", byDigest, true},
		{"digests = [\"" + d.String() + "\"]", plain, false},
		{`bases = ["docker.io/library/almalinux:10*"]`, based, true},
		{`bases = ["docker.io/library/almalinux:9*"]`, based, false},
		{`bases = ["` + digest.FromString("base").String() + `"]`, based, true},
		{`bases = ["docker.io/library/almalinux:10*"]`, plain, false},
	}
	for _, tt := range tests {
		set, err := parse(t, "version = 1\n[[image]]\n"+tt.about+"\n"+requires)
		if err != nil {
			t.Errorf("%s: %v", tt.about, err)
			continue
		}
		if got := len(set.Of(tt.image)) == 1; got != tt.want {
			t.Errorf("%s: applies to %+v: %v", tt.about, tt.image, got)
		}
	}
}

func TestADescriptionHasItsOriginAndRequirements(t *testing.T) {
	t.Parallel()
	set, err := parse(t, `version = 1
[[image]]
repositories = ["registry.example/**"]
requires = ["x86_64 :: level :: v3", "oci :: oci.kernel.versions :: >=5.8"]

# another
[[image]]
source = "https://example.org/docs"
place = "before"
repositories = ["registry.example/a"]
bases = ["registry.example/base:*"]
body = '''
version: v1alpha1
compatibilities:
- rules:
  - name: cpu
    matchFeatures:
    - feature: cpu.cpuid
      matchExpressions: {AVX2: {op: Exists}}
'''
`)
	if err != nil {
		t.Fatal(err)
	}
	if !set.NeedsBase("registry.example/a") || set.NeedsBase("registry.example/b") || (*description.Set)(nil).NeedsBase("x") {
		t.Error("the base is needed for registry.example/a alone")
	}
	var got strings.Builder
	base := description.Base{Name: "registry.example/base:1"}
	for _, d := range set.Of(description.Image{Repository: "registry.example/a", Base: base}) {
		fmt.Fprintf(&got, "%s %s %s", d.Origin(), d.Place, d.Source)
		for _, r := range d.Requirements {
			fmt.Fprintf(&got, "; %s [%s]", r.Want(), r.Origin)
		}
		for _, text := range d.Texts() {
			fmt.Fprintf(&got, "; row %d", text.Row)
		}
		got.WriteString("\n")
	}
	const file = "/etc/imagefit/images.d/x.toml"
	want := file + ":2 after ; cpu.archspec x86_64_v3 [" + file + ":2]; kernel.version >= 5.8 [" + file + ":2]; row 4; row 4\n" +
		file + ":7 before https://example.org/docs; cpu.cpuid AVX2 [" + file + ":7]; row 13\n"
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}

func TestMistakesInADescriptionAreNamedWithTheirRow(t *testing.T) {
	t.Parallel()
	const head = "version = 1\n[[image]]\n"
	tests := map[string]struct{ text, want string }{
		"no version":     {"[[image]]\nrepositories = [\"a.b/c\"]\n" + requires, "row 1, column 1: the file must begin with version = 1"},
		"another":        {"version = 2\n", "version = 1"},
		"no image":       {"version = 1\n", "no [[image]]"},
		"unknown key":    {head + "repository = [\"a.b/c\"]\n" + requires, "row 3, column 1: unknown key image.repository"},
		"about nothing":  {head + requires, "row 2, column 3, key image.repositories: no image is meant"},
		"no host":        {head + "repositories = [\"nvidia/cuda\"]\n" + requires, `row 3, column 1, key image.repositories: "nvidia/cuda" does not begin with the host`},
		"no namespace":   {head + "repositories = [\"docker.io/debian\"]\n" + requires, "is docker.io/library/debian meant?"},
		"a tag":          {head + "repositories = [\"a.b/c:1\"]\n" + requires, "has a tag or digest"},
		"capitals":       {head + "repositories = [\"a.b/C\"]\n" + requires, "has capitals"},
		"empty pattern":  {head + "repositories = [\"a.b/c\"]\ntags = [\"\"]\n" + requires, "row 4, column 1, key image.tags: a pattern is empty"},
		"long pattern":   {head + "repositories = [\"a.b/" + strings.Repeat("x", 600) + "\"]\n" + requires, "more than 512 bytes"},
		"many patterns":  {head + "repositories = [" + strings.Repeat("\"a.b/c\",", 257) + "]\n" + requires, "more than 256 patterns"},
		"platform":       {head + "repositories = [\"a.b/c\"]\nplatforms = [\"amd64\"]\n" + requires, `"amd64" is not OS/ARCH`},
		"digest":         {head + "digests = [\"sha256:1\"]\n" + requires, "is not a sha256 digest"},
		"place":          {head + "repositories = [\"a.b/c\"]\nplace = \"first\"\n" + requires, `"first" is not one of after, before, instead`},
		"nothing":        {head + "repositories = [\"a.b/c\"]\n", "nothing is required"},
		"short form":     {head + "repositories = [\"a.b/c\"]\nrequires = [\"x86_64\"]\n", `row 4, column 1, key image.requires: "x86_64" is not namespace :: feature :: value`},
		"null":           {head + "repositories = [\"a.b/c\"]\nrequires = [\"null\"]\n", "is not namespace"},
		"body":           {head + "repositories = [\"a.b/c\"]\nbody = '''\n{\"compatibilities\": 1}'''\n", "row 4, column 1, key image.body: read as proposal-f: row 1"},
		"not a table":    {"version = 1\nimage = [{repositories = [\"a.b/c\"], requires = [\"a::b::c\"]}]\n", "write each image as a table"},
		"syntax":         {"version = 1\n[[image\n", "row 2"},
		"the second one": {head + "repositories = [\"a.b/c\"]\n" + requires + "[[image]]\n" + requires, "row 5, column 3, key image.repositories"},
	}
	for name, tt := range tests {
		if _, err := parse(t, tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", name, err, tt.want)
		}
	}
	if _, err := parse(t, head+"repositories = [\"a.b/c\"]\nplace = \"instead\"\n"); err != nil {
		t.Errorf("nothing, instead of what the author states: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("version = 1\n[[image]]\nrepositories = [\"a.b/**\"]\n" + requires)
	f.Add("version = 1\n[[image]]\nbases = [\"a.b/c:*\"]\nbody = '''\n{\"compatibilities\": {\"nfd\": {}}}'''\n")
	f.Fuzz(func(t *testing.T, text string) {
		found, err := description.Parse(testkit.Interpreter(t), "x.toml", []byte(text))
		if err != nil && len(found) > 0 {
			t.Errorf("%d descriptions and %v", len(found), err)
		}
		description.NewSet(found).Of(description.Image{Repository: "a.b/c", Tag: "1"})
	})
}
