package dialect

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat"
)

// Annotations about the variants of an index, after PEP 825 of Python.
const (
	// AnnotationPriorities of an index lists properties, the most important first.
	AnnotationPriorities = "imagefit.dev/priorities"
	// AnnotationProperties of an entry lists the properties of that variant which its
	// requirements do not show.
	AnnotationProperties = "imagefit.dev/properties"
)

// Null stands in a list of priorities for the variant that asks for nothing.
const Null = "null"

// Bounds of a list of properties.
const (
	maxProperties     = 64
	maxPropertiesText = 16 << 10
)

// Property is a property of a variant, "namespace :: feature :: value" as PEP 825
// writes it: a CPU level, a release of CUDA, or any attribute, whose group is then the
// namespace.
type Property struct{ Namespace, Feature, Value string }

// String writes the property as it is read.
func (p Property) String() string {
	if p.Feature == "" {
		return p.Namespace
	}
	return p.Namespace + " :: " + p.Feature + " :: " + p.Value
}

// IsNull reports whether the property is Null.
func (p Property) IsNull() bool { return p == Property{Namespace: Null} }

// ParseProperties reads a list of properties, separated by commas or line ends. Each
// occurs once.
func ParseProperties(text string) ([]Property, error) {
	if len(text) > maxPropertiesText {
		return nil, fmt.Errorf("the list has %d bytes, more than the %d that are read", len(text), maxPropertiesText)
	}
	var all []Property
	seen := map[Property]bool{}
	for item := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '\n' }) {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		p, err := ParseProperty(item)
		switch {
		case err != nil:
			return nil, err
		case seen[p]:
			return nil, fmt.Errorf("%s occurs twice", textutil.Quote(p.String()))
		case len(all) == maxProperties:
			return nil, fmt.Errorf("more than %d properties", maxProperties)
		}
		seen[p] = true
		all = append(all, p)
	}
	return all, nil
}

// ParseProperty reads one property.
func ParseProperty(text string) (Property, error) {
	parts := strings.SplitN(text, "::", 3)
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	if len(parts) == 1 && parts[0] == Null {
		return Property{Namespace: Null}, nil
	}
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return Property{}, fmt.Errorf("%s is neither namespace :: feature :: value nor %s", textutil.Quote(text), Null)
	}
	return Property{parts[0], parts[1], parts[2]}, nil
}

// Attribute is what the property asks of a node: of the namespaces of PEP 825 that
// speak of hardware the attribute that means the same, else the attribute of that
// group and key.
func (p Property) Attribute() compat.Attribute {
	switch p.Namespace {
	case "x86_64":
		if p.Feature == "level" {
			return target("x86_64", "x86_64_"+p.Value, p.Value == "v1")
		}
		return p.flag("amd64")
	case "aarch64":
		if p.Feature == "version" {
			return target("aarch64", armTarget(p.Value), armTarget(p.Value) == "armv8.0a")
		}
		return p.flag("arm64")
	case "nvidia":
		if p.Feature == "cuda_version_lower_bound" {
			return compat.Attribute{Group: "org.supercontainers", Key: "hardware.gpu.cuda.version", Value: p.Value, Kind: kindOf(p.Value)}
		}
		if a, ok := smArch(p.Value); p.Feature == "sm_arch" && ok {
			return a
		}
	case "amd":
		if p.Feature == "gfx_arch" {
			return compat.Attribute{Group: "org.supercontainers", Key: "hardware.gpu.gfx." + p.Value, Value: "true", Kind: compat.Bool}
		}
	}
	return p.plain()
}

func (p Property) plain() compat.Attribute {
	return compat.Attribute{Group: p.Namespace, Key: p.Feature, Value: p.Value, Kind: kindOf(p.Value)}
}

// target is a CPU target, or the base of its architecture.
func target(base, name string, isBase bool) compat.Attribute {
	if isBase {
		name = base
	}
	return compat.Attribute{Group: "io.archspec", Key: "target", Value: name}
}

// smArch is what code for NVIDIA's GPUs runs on, of a list such as "70_real 90_virtual":
// machine code on the later GPUs of its generation too, intermediate code on all later ones.
func smArch(values string) (compat.Attribute, bool) {
	least, last, open := 0, 0, false
	for value := range strings.FieldsSeq(values) {
		text, kind, _ := strings.Cut(value, "_")
		arch, err := strconv.Atoi(text)
		if err != nil || arch < 10 || arch > 999 || kind != "real" && kind != "virtual" {
			return compat.Attribute{}, false
		}
		if least == 0 || arch < least {
			least = arch
		}
		last, open = max(last, arch), open || kind == "virtual"
	}
	value := fmt.Sprintf("[%d.%d,)", least/10, least%10)
	if !open {
		value = fmt.Sprintf("[%d.%d,%d.0)", least/10, least%10, last/10+1)
	}
	return compat.Attribute{Group: "org.supercontainers", Key: "hardware.gpu.cuda.compute_capability", Value: value}, least > 0
}

// armTarget makes archspec's name of a version such as 8.2a, or 9a for 9.0a.
func armTarget(version string) string {
	number := strings.TrimSuffix(version, "a")
	if !strings.Contains(number, ".") {
		number += ".0"
	}
	return "armv" + number + "a"
}

// flag is a flag of the CPU, which PEP 825 names as archspec does: avx512_vnni.
func (p Property) flag(arch string) compat.Attribute {
	flags, known := cpuFeature(arch, strings.ReplaceAll(p.Feature, "_", ""))
	if !known || len(flags) != 1 || p.Value != "on" {
		return p.plain()
	}
	return compat.Attribute{Group: "io.kubernetes.nfd", Key: "cpu-cpuid." + flags[0], Value: "true", Kind: compat.Bool}
}

// kindOf tells how a value that comes as text is meant.
func kindOf(value string) compat.Kind {
	if value == "true" || value == "false" {
		return compat.Bool
	}
	if _, err := strconv.ParseFloat(value, 64); err == nil {
		return compat.Number
	}
	return compat.String
}
