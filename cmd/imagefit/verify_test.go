package main

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/testkit/fakeregistry"
	"github.com/imagefit/imagefit/internal/testkit/hosttest"
)

// verifying is a node with an index whose two entries need what it lacks, under tag 1, and one
// of which the second fits, under tag 2.
func verifying(t *testing.T, options fakeregistry.Options, settings ...string) (*fakeregistry.Registry, map[string]digest.Digest, string) {
	t.Helper()
	reg := fakeregistry.New(t, options)
	digests := map[string]digest.Digest{}
	for tag, fits := range map[string]bool{"1": false, "2": true} {
		plain, other := reg.Image("linux/amd64", "plain"+tag), reg.Image("linux/amd64/v2", "other"+tag)
		reg.Attach(plain, fakeregistry.Artifact{Attributes: `"cpu-cpuid.AMXINT8": true`})
		if !fits {
			reg.Attach(other, fakeregistry.Artifact{Attributes: `"cpu-cpuid.AVX512F": true`})
		}
		digests[tag] = reg.Index(tag, plain, other).Digest
	}
	host := hosttest.Host(t, "../../pkg/hostfacts/testdata/hosts/vm-milan.txt")
	_, config := nodeDir(t, append(settings, `facts.root = "`+host+`"`)...)
	return reg, digests, config
}

func TestVerifyAnswersAsContainerdUnderstands(t *testing.T) {
	t.Parallel()
	const nothing = "imagefit: no variant of REF fits this node: linux/amd64 needs cpu.cpuid AMXINT8 (absent); linux/amd64/v2 needs cpu.cpuid AVX512F (absent)"
	for name, tt := range map[string]struct {
		settings []string
		tag      string
		refused  bool
		want     string
	}{
		"none fits":             {nil, "1", true, nothing},
		"one fits":              {nil, "2", false, ", but the runtime takes linux/amd64, which does not fit: it needs cpu.cpuid AMXINT8 (absent)"},
		"mode warn":             {[]string{`policy.mode = "warn"`}, "1", false, nothing + " (mode warn: not refused)"},
		"mode audit":            {[]string{`policy.mode = "audit"`}, "1", false, nothing + " (mode audit: not refused)"},
		"no_fit is forward":     {[]string{`policy.no_fit = "forward"`}, "1", false, nothing},
		"no artifact is needed": {[]string{`policy.no_artifact = "refuse"`}, "2", false, "is the best"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg, digests, config := verifying(t, fakeregistry.Options{}, tt.settings...)
			ref := reg.Reference(":" + tt.tag)
			reg.Index(tt.tag, reg.Image("linux/amd64", "moved")) // the tag moves; the digest is what is pulled
			got := tool(t, "", asVerifier("/x/imagefit-verify", []string{
				"-name", ref, "-digest", digests[tt.tag].String(), "-stdin-media-type", "application/vnd.oci.descriptor.v1+json", "--config", config,
			})...)
			code, _ := errors.AsType[cli.ExitError](got.err)
			if tt.refused != (code == exitNoneFits) || !tt.refused && got.err != nil {
				t.Errorf("ends with %v, refused: %t", got.err, tt.refused)
			}
			if want := strings.ReplaceAll(tt.want, "REF", ref); !strings.Contains(got.stdout, want) || strings.Count(got.stdout, "\n") != 1 {
				t.Errorf("got  %swant %s", got.stdout, want)
			}
		})
	}
}

// TestVerifyRefusesNothingThatItCannotSee: containerd refuses a pull for any other exit code than 0, and
// for an answer that is late.
func TestVerifyRefusesNothingThatItCannotSee(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		setting string
		options fakeregistry.Options
		prepare func(*fakeregistry.Registry)
		args    []string // "" for those of tag 1
		refused bool
		want    string
	}{
		"credentials are needed": {
			"", fakeregistry.Options{Password: "secret"}, nil, nil, false,
			"containerd does not give the credentials of a pull to verifiers, nri.credentials may name a file with some",
		},
		"credentials are needed, and errors refuse": {
			`policy.registry_error = "refuse"`, fakeregistry.Options{Password: "secret"}, nil, nil, false, "is not checked",
		},
		"the registry is down":                    {"", fakeregistry.Options{}, (*fakeregistry.Registry).Close, nil, false, "is not checked: "},
		"the registry is down, and errors refuse": {`policy.registry_error = "refuse"`, fakeregistry.Options{}, (*fakeregistry.Registry).Close, nil, true, "(policy.registry_error)"},
		"the registry hangs": {`proxy.select_timeout = "200ms"`, fakeregistry.Options{}, func(r *fakeregistry.Registry) {
			r.Answer(func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true })
		}, nil, false, "is not checked: "},
		"not a reference": {`policy.registry_error = "refuse"`, fakeregistry.Options{}, nil, []string{"-name", "Import 1", "-digest", "sha256:1"}, false, "is not checked: "},
		"not a digest":    {"", fakeregistry.Options{}, nil, []string{"-name", "registry.example/a", "-digest", "sha256:1"}, false, "is not checked: "},
		"no such key":     {"polcy.mode = 1", fakeregistry.Options{}, nil, nil, false, "(mode audit: not refused)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var settings []string
			if tt.setting != "" {
				settings = append(settings, tt.setting)
			}
			reg, digests, config := verifying(t, tt.options, settings...)
			if tt.prepare != nil {
				tt.prepare(reg)
			}
			args := tt.args
			if args == nil {
				args = []string{"-name", reg.Reference(":1"), "-digest", digests["1"].String()}
			}
			got := tool(t, "", asVerifier("imagefit", slices.Concat([]string{"verify"}, args, []string{"--config", config}))...)
			if code, _ := errors.AsType[cli.ExitError](got.err); tt.refused != (code == exitNoneFits) || !tt.refused && got.err != nil {
				t.Errorf("ends with %v, refused: %t", got.err, tt.refused)
			}
			if !strings.HasPrefix(got.stdout, "imagefit: ") || !strings.Contains(got.stdout, tt.want) || strings.Contains(got.stdout, "secret") {
				t.Errorf("got  %swant %s", got.stdout, tt.want)
			}
		})
	}
}

func TestOnlyVerifyTakesFlagsOfOneDash(t *testing.T) {
	t.Parallel()
	for program, args := range map[string][2]string{
		"/opt/bin/imagefit-verify": {"-name a -digest b", "verify --name a --digest b"},
		"imagefit":                 {"verify -name a --digest b", "verify --name a --digest b"},
		"/usr/bin/imagefit":        {"explain -name", "explain -name"},
		"":                         {"", ""},
	} {
		got := strings.Join(asVerifier(program, strings.Fields(args[0])), " ")
		if got != args[1] {
			t.Errorf("%s %s: %s", program, args[0], got)
		}
	}
}
