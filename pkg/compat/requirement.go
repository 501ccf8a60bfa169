package compat

import "strings"

// Importance says what follows when a requirement does not hold.
type Importance uint8

// The three kinds of importance. The zero value is Required.
const (
	Required    Importance = iota // the image does not fit without it
	Preferred                     // the image is a better choice with it
	Informative                   // said, but nothing follows
)

// String returns the importance in lower case.
func (i Importance) String() string {
	return [...]string{"required", "preferred", "informative"}[min(i, Informative)]
}

// Op is an operator under its NFD name.
type Op string

// The operators of NFD's match expressions that requirements are made of.
const (
	Exists       Op = "Exists"
	DoesNotExist Op = "DoesNotExist"
	In           Op = "In"
	NotIn        Op = "NotIn"
	Gt           Op = "Gt"
	Ge           Op = "Ge"
	Lt           Op = "Lt"
	Le           Op = "Le"
	IsTrue       Op = "IsTrue"
	IsFalse      Op = "IsFalse"
)

// Term is one condition on one element of a feature set.
type Term struct {
	Element string
	Op      Op
	Values  []string
}

// Requirement is one thing an image asks for of the node.
type Requirement struct {
	// Key is the attribute as its author wrote it, such as
	// "kernel/kernel-version.major".
	Key string
	// Set is the NFD feature set the terms are about, such as "kernel.version".
	Set string
	// Terms must hold all together; in a set of instances all on one instance.
	Terms []Term
	// Not turns the requirement round: it holds where the terms do not.
	Not bool
	// Importance says what follows when the requirement does not hold.
	Importance Importance
	// Weight counts for a candidate when a preferred requirement holds.
	Weight int
	// Unclear, if not empty, says why no fact can decide the requirement.
	Unclear string
	// Strict makes an unclear requirement one that does not hold, where the
	// operator's policy says so.
	Strict bool
}

// Want returns what is asked for in the words of NFD, such as
// "cpu.cpuid AVX2" or "kernel.version >= 6.8".
func (r Requirement) Want() string {
	if r.Unclear != "" {
		return shortened(r.Key)
	}
	terms := make([]string, 0, len(r.Terms))
	for _, t := range r.Terms {
		terms = append(terms, t.want())
	}
	want := shortened(r.Set + " " + strings.Join(terms, " and "))
	if r.Not {
		return "no " + want
	}
	return want
}

func (t Term) want() string {
	values := strings.Join(t.Values, "|")
	switch t.Op {
	case Exists:
		return t.Element
	case DoesNotExist:
		return "without " + t.Element
	case In:
		return t.Element + "=" + values
	case NotIn:
		return t.Element + "!=" + values
	case IsTrue:
		return t.Element + "=true"
	case IsFalse:
		return t.Element + "=false"
	default:
		if t.Element == fullVersion {
			return t.Op.symbol() + " " + values
		}
		return t.Element + " " + t.Op.symbol() + " " + values
	}
}

func (o Op) symbol() string {
	switch o {
	case Gt:
		return ">"
	case Ge:
		return ">="
	case Lt:
		return "<"
	case Le:
		return "<="
	default:
		return string(o)
	}
}

// fullVersion is the element of NFD's kernel.version that holds the whole
// version; it is left out of what people read.
const fullVersion = "full"

// maxText is how much of a text that an artifact brought is shown to people.
const maxText = 200

// shortened is s, cut where it is too long to be read.
func shortened(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "..."
}
