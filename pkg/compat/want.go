package compat

import (
	"cmp"
	"strings"

	"github.com/imagefit/imagefit/internal/textutil"
)

// Want returns what is asked for in the words of NFD, such as
// "cpu.cpuid AVX2" or "kernel.version >= 6.8", and of a tree
// "one of: pci.device vendor=0eee and class=0200; pci.device vendor=0fff".
func (r *Requirement) Want() string { return textutil.Short(r.want()) }

func (r *Requirement) want() string {
	switch {
	case r.Unclear != "":
		return textutil.Short(r.Key)
	case r.Newer != nil && !r.Not && len(r.Parts) > 1:
		return r.Newer.For + " (" + r.Newer.What + " >= " + r.Newer.Least + ")"
	case r.Combine != Leaf:
		return r.wantParts()
	}
	words := make([]string, 0, len(r.Terms)+1)
	for _, t := range r.Terms {
		words = append(words, t.want())
	}
	if r.Name != nil {
		words = append(words, r.Name.wantName())
	}
	want := r.Set + " " + strings.Join(words, " and ")
	if r.Not {
		return "no " + want
	}
	return want
}

// WantTerm returns what one of the terms asks for, such as
// "kernel.version >= 6.8".
func (r *Requirement) WantTerm(i int) string { return textutil.Short(r.Set + " " + r.Terms[i].want()) }

// wantParts names the parts until there is more than people can read.
func (r *Requirement) wantParts() string {
	before, between := r.joint()
	const enough = 200
	var b strings.Builder
	b.WriteString(before)
	for i := range r.Parts {
		if i > 0 {
			b.WriteString(between)
		}
		if b.Len() > enough {
			break
		}
		part := &r.Parts[i]
		inner := textutil.Short(part.want())
		if part.Unclear == "" && part.Combine != Leaf && len(part.Parts) > 1 {
			inner = "(" + inner + ")"
		}
		b.WriteString(inner)
	}
	return b.String()
}

// joint returns the words before and between the parts.
func (r *Requirement) joint() (before, between string) {
	switch {
	case len(r.Parts) == 0:
		return textutil.Short(cmp.Or(r.Title, r.Key)), ""
	case r.Combine == AllOf && r.Not:
		return "not all of: ", "; "
	case r.Combine == AllOf:
		return "", " and "
	case r.Combine == NoneOf && !r.Not, r.Combine == AnyOf && r.Not:
		return "none of: ", "; "
	case r.Combine == OneOf && r.Not:
		return "not exactly one of: ", "; "
	case r.Combine == OneOf:
		return "exactly one of: ", "; "
	case len(r.Parts) == 1:
		return "", ""
	default:
		return "one of: ", "; "
	}
}

func (t *Term) want() string {
	values := strings.Join(t.Values, "|")
	switch t.Op {
	case Any:
		return t.Element + " of any value"
	case Exists:
		return t.Element
	case DoesNotExist:
		return "without " + t.Element
	case In:
		return t.Element + "=" + values
	case NotIn:
		return t.Element + "!=" + values
	case InRegexp:
		return t.Element + " like " + values
	case IsTrue:
		return t.Element + "=true"
	case IsFalse:
		return t.Element + "=false"
	}
	element := t.Element + " "
	if t.Element == "full" { // of kernel.version, the whole version
		element = ""
	}
	switch t.Op {
	case GtLt:
		return element + "between " + strings.Join(t.Values, " and ")
	case GeLe:
		return element + "from " + strings.Join(t.Values, " to ")
	}
	symbols := map[Op]string{Gt: ">", Ge: ">=", Lt: "<", Le: "<="}
	return element + cmp.Or(symbols[t.Op], string(t.Op)) + " " + values
}

func (t *Term) wantName() string {
	values := strings.Join(t.Values, "|")
	switch t.Op {
	case In:
		return "any of " + values
	case NotIn:
		return "a name other than " + values
	case InRegexp:
		return "a name like " + values
	case Any, Exists:
		return "any name"
	default:
		return "a name that is" + (&Term{Element: "", Op: t.Op, Values: t.Values}).want()
	}
}
