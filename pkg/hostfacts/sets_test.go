package hostfacts

import (
	"context"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit/golden"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts/operator"
)

func TestEverySetHasAnOrigin(t *testing.T) {
	t.Parallel()
	known := Collect(context.Background(), NewRoot("testdata/amd-zen/root"))
	for _, set := range Sets() {
		if known.Origin(set.Name, "") == "" {
			t.Errorf("%s has no origin", set.Name)
		}
	}
	for set, want := range map[string]string{
		"cpu.cpuid":     "/proc/cpuinfo",
		"kernel.config": "/boot/config-3.10.0-1160.el7.x86_64",
		"pci.device":    "/sys/bus/pci/devices",
		"site.nothing":  "",
	} {
		if got := known.Origin(set, "anything"); got != want {
			t.Errorf("%s is from %q, want %q", set, got, want)
		}
	}
	if runtime.GOOS == "linux" && runtime.GOARCH == "amd64" {
		live := Collect(context.Background(), NewRoot("/"))
		if got := live.Origin("cpu.cpuid", "SSE2"); got != "CPUID" {
			t.Errorf("SSE2 is from %q", got)
		}
	}
}

// TestNothingUndeclaredIsCollected: on all captured hosts each set, its kind and
// each element are as the collector declares them, but for what the operator adds.
func TestNothingUndeclaredIsCollected(t *testing.T) {
	t.Parallel()
	declared := map[string]facts.Set{}
	for _, set := range Sets() {
		declared[set.Name] = set
	}
	for host, root := range capturedHosts(t) {
		known := Collect(context.Background(), root)
		check := func(name string, kind facts.Kind, elements []string) {
			set, ok := declared[name]
			bothKinds := name == "cpu.cpuid" && kind == facts.Attributes
			if !bothKinds && (!ok || set.Kind != kind) && !strings.Contains(known.Origin(name, ""), operator.Dir) {
				t.Errorf("%s: %s is not declared, or of another kind: %v", host, name, set)
			}
			for _, element := range elements {
				byOperator := strings.Contains(known.Origin(name, element), operator.Dir)
				if names := set.Names(); names != nil && !slices.Contains(names, element) && !byOperator {
					t.Errorf("%s: %s %s is not declared", host, name, element)
				}
			}
		}
		found := known.Features()
		for name, elements := range found.Flags {
			check(name, facts.Flags, elements)
		}
		for name, elements := range found.Attributes {
			check(name, facts.Attributes, slices.Collect(maps.Keys(elements)))
		}
		for name, list := range found.Instances {
			check(name, facts.Instances, nil)
			for _, instance := range list {
				check(name, facts.Instances, slices.Collect(maps.Keys(instance)))
			}
		}
	}
}

// TestKnownCPUFlagsCoverThoseOfHosts: lint takes a flag that is not among them
// for a mistake. No table has the flags of RISC-V.
func TestKnownCPUFlagsCoverThoseOfHosts(t *testing.T) {
	t.Parallel()
	x86, others := CPUFlags()
	known := slices.Concat(x86, others)
	for host, root := range capturedHosts(t) {
		for _, flag := range Collect(context.Background(), root).Features().Flags["cpu.cpuid"] {
			if !slices.Contains(known, flag) {
				t.Errorf("%s has the flag %s, which is not among those known", host, flag)
			}
		}
	}
}

// TestSetsAreDocumented compares the two tables of sets in the documentation
// with the declarations; -update rewrites them.
func TestSetsAreDocumented(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "..", "docs", "facts.md")
	for _, table := range []struct {
		name string
		nfd  bool
	}{{"NFD", true}, {"beyond NFD", false}} {
		begin := "<!-- sets " + table.name + ": written by go test ./pkg/hostfacts -update -->\n"
		golden.Part(t, path, begin, "<!-- end -->\n", documentation(table.nfd))
	}
}

// documentation returns the table of the sets that NFD has, or of the others.
func documentation(nfd bool) string {
	var b strings.Builder
	b.WriteString("\n| set | elements | from |\n|---|---|---|\n")
	for _, set := range Sets() {
		if set.NFD != nfd {
			continue
		}
		from := set.From
		if from == "" {
			from = "`" + set.Origin + "`"
		}
		b.WriteString("| `" + set.Name + "` | " + elementsText(set) + " | " + from + " |\n")
	}
	return b.String() + "\n"
}

// elementsText gives elements in a row that have the same note one note.
func elementsText(set facts.Set) string {
	var b strings.Builder
	b.WriteString(map[facts.Kind]string{facts.Flags: "flags: ", facts.Instances: "instances: "}[set.Kind])
	separator, pending := "", ""
	for name, note := range set.All() {
		if note != pending && pending != "" {
			b.WriteString(" (" + pending + ")")
		}
		pending = note
		b.WriteString(separator)
		separator = ", "
		if strings.Contains(name, "*") {
			b.WriteString(note)
			pending = ""
			continue
		}
		b.WriteString("`" + name + "`")
	}
	if pending != "" {
		b.WriteString(" (" + pending + ")")
	}
	if set.Note != "" {
		b.WriteString("; " + set.Note)
	}
	return b.String()
}
