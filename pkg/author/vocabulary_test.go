package author

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts"
)

// TestVocabulary: lint knows the sets that are collected, and no others.
func TestVocabulary(t *testing.T) {
	t.Parallel()
	features := hostfacts.Collect(context.Background(), hostfacts.NewRoot(t.TempDir())).Features()
	collected := features.Sets()
	for set := range features.Unknown {
		if !strings.Contains(set, "/") {
			collected = append(collected, set)
		}
	}
	v := newVocabulary()
	for _, set := range collected {
		if _, ok := v.features[set]; !ok {
			t.Errorf("the set %s is collected, and not known here", set)
		}
	}
	for _, name := range v.names {
		if !slices.Contains(collected, name) && name != "rule.matched" {
			t.Errorf("the set %s is known here, and never collected", name)
		}
	}
}

// TestElements: every element that a captured node has is known.
func TestElements(t *testing.T) {
	t.Parallel()
	v := newVocabulary()
	for _, dir := range []string{"../hostfacts/testdata/hosts"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if !strings.HasSuffix(entry.Name(), ".json") {
				continue
			}
			file, err := os.Open(dir + "/" + entry.Name())
			if err != nil {
				t.Fatal(err)
			}
			facts, err := hostfacts.Parse(file)
			if err != nil {
				t.Fatalf("%s: %v", entry.Name(), err)
			}
			v.checkElements(t, entry.Name(), facts.Features())
			if err := file.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (v *vocabulary) checkElements(t *testing.T, host string, f facts.Features) {
	t.Helper()
	known := func(set, element string) {
		if elements := v.features[set].elements; len(elements) > 0 && !slices.Contains(elements, element) {
			t.Errorf("%s has %s %s, which is not known here", host, set, element)
		}
	}
	for set, elements := range f.Attributes {
		for element := range elements {
			known(set, element)
		}
	}
	for set, instances := range f.Instances {
		for _, instance := range instances {
			for element := range instance {
				known(set, element)
			}
		}
	}
	for _, flag := range f.Flags["cpu.cpuid"] {
		if !slices.Contains(v.flags, flag) && !strings.HasPrefix(host, "riscv64") {
			t.Errorf("%s has the flag %s, which is not known here", host, flag)
		}
	}
}

// TestCodesAreDocumented: the guide has every code, and no other.
func TestCodesAreDocumented(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/authoring.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(guide), "| code |")
	var documented []string
	for line := range strings.Lines(table) {
		if code, ok := strings.CutPrefix(line, "| `"); ok {
			code, _, _ = strings.Cut(code, "`")
			documented = append(documented, code)
		}
	}
	var codes []string
	for _, c := range Codes() {
		codes = append(codes, c.Name)
	}
	if !slices.Equal(documented, codes) {
		t.Errorf("documented %q\nthere are %q", documented, codes)
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"kernel.version", "kernel.config", "cpu.cpuid", "AVX2", "AVX512F"}
	for name, want := range map[string]string{
		"kernal.version": "kernel.version", "cpu.cpudi": "cpu.cpuid", "avx2": "AVX2", "AVX512": "AVX512F", "nothing.alike": "", "": "",
	} {
		if got, _ := nearest(name, known); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
