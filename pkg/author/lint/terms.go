package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/document"
	"github.com/imagefit/imagefit/pkg/hostfacts/archspec"
	"github.com/imagefit/imagefit/pkg/version"
)

// ask is one condition of a document together with where it is written. The nodes
// are never nil.
type ask struct {
	set        string
	instance   int // conditions on one device have the same number, others 0
	term       compat.Term
	name       *document.Node // of the element or attribute
	op         *document.Node
	values     []*document.Node // in the order of the term's values, if it has them
	preference bool
}

// check looks at one condition by itself.
func (r *run) check(a *ask) {
	if !r.feature(a) {
		return
	}
	r.elementOf(a)
	r.valuesOf(a)
	r.buildHost(a)
}

// feature reports whether the set is one that nodes have.
func (r *run) feature(a *ask) bool {
	set := strings.ToLower(a.set)
	if _, ok := r.words.features[set]; ok {
		return true
	}
	near := textutil.Nearest(set, r.words.names)
	report := r.at(a.name, codeUnknownFeature)
	family, _, _ := strings.Cut(set, ".")
	if near == "" && !slices.Contains(r.words.families, family) { // it may be the operator's own
		report.as(Warning)
		near = "one of NFD's, or facts of the operator's own"
	}
	report.say(a.set, "the feature "+textutil.Quote(a.set)+" is not known", near)
	return false
}

func (r *run) elementOf(a *ask) {
	element := a.term.Element
	switch {
	case element == "":
	case a.set == "cpu.cpuid":
		r.flag(a)
	case a.set == "cpu.archspec":
		if !archspec.Known(element) {
			r.at(a.name, codeUnknownTarget).say(element, "archspec has no CPU target "+textutil.Quote(element), nearTarget(element))
		}
	case a.set == "kernel.config" && strings.HasPrefix(element, "CONFIG_"):
		report := r.at(a.name, codeUnknownElement)
		if a.name.Value == element {
			report.fixed(strings.TrimPrefix(element, "CONFIG_"))
		}
		report.say(element, "the elements of kernel.config have no CONFIG_ in front", strings.TrimPrefix(element, "CONFIG_"))
	default:
		known := r.words.features[a.set]
		if len(known) > 0 && !slices.Contains(known, element) {
			expected := textutil.Nearest(element, known)
			if expected == "" {
				expected = strings.Join(known, ", ")
			}
			r.at(a.name, codeUnknownElement).say(element, a.set+" has no element "+textutil.Quote(element), expected)
		}
	}
}

func (r *run) flag(a *ask) {
	element := a.term.Element
	if slices.Contains(r.words.flags, element) {
		return
	}
	near, ok := map[string]string{ // as /proc/cpuinfo or a compiler spells them
		"sse4_1": "SSE4", "sse4.1": "SSE4", "sse41": "SSE4", "sse4_2": "SSE42", "sse4.2": "SSE42", "pni": "SSE3",
		"fma": "FMA3", "aes": "AESNI", "pclmulqdq": "CLMUL", "abm": "LZCNT", "sha_ni": "SHA", "lahf_lm": "LAHF",
		"neon": "ASIMD", "avx512_vnni": "AVX512VNNI", "avx512_bf16": "AVX512BF16", "avx_vnni": "AVXVNNI",
		"amx_tile": "AMXTILE",
	}[strings.ToLower(element)]
	if !ok {
		near = textutil.Nearest(element, r.words.flags)
	}
	report := r.at(a.name, codeUnknownFlag)
	if near == "" { // a CPU of tomorrow may have it
		report.as(Warning)
	}
	report.say(element, "no CPU has the flag "+textutil.Quote(element), near)
}

// nearTarget tries all names that differ in one letter: archspec's are not
// listed anywhere.
func nearTarget(name string) string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789_"
	if len(name) > 64 {
		return ""
	}
	name = strings.ReplaceAll(strings.ToLower(name), "-", "_")
	tries := []string{name, "x86_64" + strings.TrimPrefix(name, "x86"), "x86_64_" + name}
	for i := range len(name) + 1 {
		for _, letter := range letters {
			tries = append(tries, name[:i]+string(letter)+name[i:])
			if i < len(name) {
				tries = append(tries, name[:i]+string(letter)+name[i+1:])
			}
		}
		if i < len(name) {
			tries = append(tries, name[:i]+name[i+1:])
		}
	}
	if i := slices.IndexFunc(tries, archspec.Known); i >= 0 {
		return tries[i]
	}
	return ""
}

// valuesOf looks for values that no node has.
func (r *run) valuesOf(a *ask) {
	if a.term.Op != compat.In && a.term.Op != compat.NotIn {
		return
	}
	for i, value := range a.term.Values {
		at := a.op
		if i < len(a.values) {
			at = a.values[i]
		}
		if right, wrong := rightValue(a.set, a.term.Element, value); wrong {
			r.at(at, codeValueSpelling).fixedIf(at.Value == value, right).say(a.term.Element,
				fmt.Sprintf("no node has %s %s=%s", a.set, a.term.Element, textutil.Quote(value)), right)
		}
	}
}

func (p *report) fixedIf(ok bool, text string) *report {
	if ok {
		return p.fixed(text)
	}
	return p
}

// buildHost looks for what is true of one machine.
func (r *run) buildHost(a *ask) {
	if a.term.Op == compat.NotIn || a.term.Op == compat.DoesNotExist || a.term.Element == "" {
		return
	}
	exact := a.term.Op == compat.In
	text, expected := "", ""
	switch a.set + " " + a.term.Element {
	case "cpu.model family", "cpu.model id":
		if exact {
			text, expected = "an exact CPU model is that of a build host", "the flags of cpu.cpuid or a target of archspec that the image needs"
		}
	case "kernel.version full":
		if exact || slices.ContainsFunc(a.term.Values, hasFlavour) {
			text, expected = "an exact kernel release is that of a build host", "the oldest version that will do, such as Ge 5.15"
		}
	case "kernel.version revision":
		if exact {
			text, expected = "an exact revision of the kernel is that of a build host", "the oldest version that will do"
		}
	case "system.name nodename", "usb.device serial", "gpu.device address", "network.device name":
		text, expected = "this is true of one machine only", "what the image needs of any machine"
	case "system.dmiid product_name", "system.dmiid sys_vendor", "system.dmiid bios_version", "system.dmiid board_name":
		text, expected = "the make of a machine is that of a build host", "what the image needs of it"
	}
	if text != "" {
		r.at(a.name, BuildHost).say(a.term.Element, text, expected)
	}
}

// hasFlavour tells a release such as 6.8.0-45-generic from a version.
func hasFlavour(value string) bool {
	v, ok := version.Parse(value)
	return ok && v.String() != value && strings.ContainsAny(value, "-+_")
}
