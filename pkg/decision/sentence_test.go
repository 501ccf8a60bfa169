package decision

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/pkg/policy"
)

// TestReasonsReadAsSentences holds what users read to the letter. Whatever changes here
// breaks the alerts and the documentation of those who match it.
func TestReasonsReadAsSentences(t *testing.T) {
	t.Parallel()
	kernel := `"kernel-version.major": 6, "kernel-version.minor": 8`
	tests := []struct {
		name string
		push func(r *fakeregistry.Registry)
		want string
	}{
		{"no variant fits", func(r *fakeregistry.Registry) {
			v3, plain := r.Image("linux/amd64/v3", "a"), r.Image("linux/amd64", "b")
			r.Index("1", v3, plain)
			r.Attach(v3, fakeregistry.Artifact{Attributes: avx2})
			r.Attach(plain, fakeregistry.Artifact{Attributes: kernel})
		}, "no variant of registry.example/app:1 fits this node: linux/amd64/v3 needs cpu.cpuid AVX2 (absent); linux/amd64 needs kernel.version >= 6.8 (is 6.1.0)"},
		{"two reasons", func(r *fakeregistry.Registry) {
			image := r.Image("linux/amd64", "a")
			r.Index("1", image)
			r.Attach(image, fakeregistry.Artifact{Attributes: avx2 + "," + kernel})
		}, "no variant of registry.example/app:1 fits this node: linux/amd64 needs cpu.cpuid AVX2 (absent), kernel.version >= 6.8 (is 6.1.0)"},
		{"a level too high", func(r *fakeregistry.Registry) {
			r.Index("1", r.Image("linux/amd64/v4", "a"))
		}, "no variant of registry.example/app:1 fits this node: linux/amd64/v4 needs cpu.x86_64 level >= 4 (is 3)"},
		{"a single image", func(r *fakeregistry.Registry) {
			r.Attach(r.Image("linux/amd64", "a", "1"), fakeregistry.Artifact{Attributes: kernel})
		}, "registry.example/app:1 does not fit this node: it needs kernel.version >= 6.8 (is 6.1.0)"},
		{"unknown", func(r *fakeregistry.Registry) {
			image := r.Image("linux/amd64", "a")
			r.Index("1", image)
			r.Attach(image, fakeregistry.Artifact{Attributes: strange})
		}, "linux/amd64 is the only variant of registry.example/app:1 for linux/amd64: it may fit: it needs io.kubernetes.nfd/fabric.rdma-over-carrier-pigeon (unknown: no compatibility spec knows this attribute)"},
		{"nothing to choose", func(r *fakeregistry.Registry) { r.Index("1", r.Image("linux/s390x", "a")) },
			"registry.example/app:1 has no entry for linux/amd64 (there are linux/s390x)"},
		{"many", func(r *fakeregistry.Registry) {
			var entries []ocispec.Descriptor
			for i := range maxNamed + 2 {
				entries = append(entries, r.Image("linux/amd64/v4", fmt.Sprint(i)))
			}
			r.Index("1", entries...)
		}, "; and 2 more"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newTestRegistry(t)
			test.push(r)
			d := decide(t, newTestResolver(t, r, testkit.Node(3)), app)
			if test.name == "many" && strings.HasSuffix(d.Reason, test.want) {
				return
			}
			if d.Reason != test.want {
				t.Errorf("got  %s\nwant %s", d.Reason, test.want)
			}
		})
	}
}

// TestHostileTextBecomesOneShortLine has an artifact whose keys and values are made to break logs,
// terminals and events.
func TestHostileTextBecomesOneShortLine(t *testing.T) {
	t.Parallel()
	huge := strings.Repeat("A", 1<<18)
	for name, key := range map[string]string{
		"line ends":          "cpu-cpuid.a\nimagefit: all is well\r\n",
		"terminal sequences": "cpu-cpuid.\x1b[2J\x1b]0;title\a",
		"bidi override":      "cpu-cpuid.\u202e\u2066gpj",
		"NUL and DEL":        "cpu-cpuid.\x00\x7f",
		"line separator":     "cpu-cpuid.\u2028\u2029\u0085",
		"invalid UTF-8":      "cpu-cpuid.\xff\xfe",
		"huge":               "cpu-cpuid." + huge,
		"huge wide":          "cpu-cpuid." + strings.Repeat("漢", 1<<16),
		"huge unknown":       huge,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newTestRegistry(t)
			a, b := r.Image("linux/amd64", "a"), r.Image("linux/amd64", "b")
			r.Index("1", a, b)
			quoted, _ := json.Marshal(key)
			for _, image := range []ocispec.Descriptor{a, b} {
				r.Attach(image, fakeregistry.Artifact{Attributes: string(quoted) + ": true"})
			}
			resolver := newTestResolver(t, r, testkit.Node(1))
			change(resolver, func(r *Rules) { r.Policy.UnknownAttribute = policy.Unfit })
			d := decide(t, resolver, app)
			if !d.Refused() {
				t.Fatalf("not refused: %s", d.Reason)
			}
			checkLine(t, d.Reason, maxSentence)
			for _, c := range d.Candidates {
				checkLine(t, c.Reason, maxReason)
			}
			if !strings.Contains(d.Reason, d.Label(1)) {
				t.Errorf("the first candidate's reason hides the second: %s", d.Reason)
			}
			if err := resolver.Remember("sha256:x", d, 0); err != nil {
				t.Error(err)
			}
			verdict, err := recall(resolver, "sha256:x", "")
			if err != nil {
				t.Fatal(err)
			}
			checkLine(t, verdict.Refusal(key), maxSentence)
		})
	}
}

func checkLine(t *testing.T, s string, limit int) {
	t.Helper()
	if len(s) > limit+len(" ...") || !utf8.ValidString(s) {
		t.Errorf("%d bytes, or invalid: %.100q", len(s), s)
	}
	for _, r := range s {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			t.Fatalf("%q in %.100q", r, s)
		}
	}
}
