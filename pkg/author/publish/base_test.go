package publish_test

import (
	"fmt"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/testkit"
	"github.com/imagefit/imagefit/pkg/author/publish"
	"github.com/imagefit/imagefit/pkg/compat"
)

func attributes(texts ...string) (all []compat.Attribute) {
	for _, text := range texts {
		name, value, _ := strings.Cut(text, "=")
		group, key, _ := strings.Cut(name, "/")
		all = append(all, compat.Attribute{Group: group, Key: key, Value: value})
	}
	return all
}

func TestTheNewImageReplacesWhatItStates(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ own, base, want, taken string }{
		"both empty":              {"", "", "", ""},
		"only the base":           {"", "a/b=1", "a/b=1", "b=1"},
		"another attribute":       {"a/b=1", "a/c=2", "a/b=1 a/c=2", "c=2"},
		"the same attribute":      {"a/b=1", "a/b=2", "a/b=1", ""},
		"in another group":        {"nfd/kernel-version.major=6", "io.kubernetes.nfd/kernel-version.major=5", "nfd/kernel-version.major=6", ""},
		"a lower level":           {"io.archspec/target=x86_64_v3", "io.archspec/cpu.target=x86_64_v2", "io.archspec/target=x86_64_v3", ""},
		"a higher level":          {"io.archspec/target=x86_64_v2", "io.archspec/cpu.target=x86_64_v3", "io.archspec/cpu.target=x86_64_v3", "cpu.target=x86_64_v3 in place of x86_64_v2"},
		"a level, and any x86":    {"io.archspec/target=x86_64", "io.archspec/target=x86_64_v3", "io.archspec/target=x86_64_v3", "target=x86_64_v3 in place of x86_64"},
		"a target without levels": {"io.archspec/target=zen4", "io.archspec/target=x86_64_v3", "io.archspec/target=zen4", ""},
	}
	for name, tt := range tests {
		merged, taken := publish.Merge(attributes(strings.Fields(tt.own)...), attributes(strings.Fields(tt.base)...))
		var got []string
		for _, a := range merged {
			got = append(got, fmt.Sprintf("%s/%s=%s", a.Group, a.Key, a.Value))
		}
		if strings.Join(got, " ") != tt.want || strings.Join(taken, "; ") != tt.taken {
			t.Errorf("%s: %q, taken %q", name, got, taken)
		}
	}
}

func TestTheBaseIsTheOneThatTheManifestNames(t *testing.T) {
	t.Parallel()
	const d = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for name, tt := range map[string]struct{ name, digest, want, err string }{
		"none":             {"", d, "", ""},
		"a name":           {"debian:12", "", "docker.io/library/debian:12", ""},
		"a name, a digest": {"debian:12", d, "docker.io/library/debian@" + d, ""},
		"a wrong digest":   {"debian:12", "sha256:1", "docker.io/library/debian:12", ""},
		"not a name":       {"no such\nname", "", "", "base.name"},
	} {
		named, err := publish.BaseOf(ocispec.Manifest{Annotations: map[string]string{
			ocispec.AnnotationBaseImageName: tt.name, ocispec.AnnotationBaseImageDigest: tt.digest,
		}})
		got := ""
		if named != nil {
			got = named.String()
		}
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestABodyOfAlternativesIsNotMerged(t *testing.T) {
	t.Parallel()
	base := &publish.Base{Attributes: attributes("oci/oci.kernel.versions=>=5.8")}
	for body, want := range map[string]bool{
		`{"compatibilities": {"nfd": {"cpu-cpuid.AVX2": true}}}`: true,
		"version: v1alpha1\ncompatibilities:\n- rules:\n  - name: x\n    matchAny:\n" +
			"    - matchFeatures: [{feature: cpu.cpuid, matchExpressions: {AVX2: {op: Exists}}}]\n" +
			"    - matchFeatures: [{feature: cpu.cpuid, matchExpressions: {SVE: {op: Exists}}}]\n": false,
	} {
		merged, taken, ok, err := publish.WithBase(testkit.Specs(t), []byte(body), base)
		if err != nil || ok != want || ok != strings.Contains(string(merged), "oci.kernel.versions") || ok != (len(taken) == 1) {
			t.Errorf("%s: %v, %v, %v\n%s", body, ok, taken, err, merged)
		}
	}
}
