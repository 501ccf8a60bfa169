package lint

import (
	"cmp"
	"fmt"
	"slices"
)

// Severity says how bad a finding is.
type Severity string

// The severities. An error cannot work anywhere or as meant; a warning is
// probably not what its author wants.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Finding is one thing that Lint found.
type Finding struct {
	File     string   `json:"file"`
	Row      int      `json:"row"`
	Column   int      `json:"column"`
	Severity Severity `json:"severity"`
	Code     string   `json:"code"`
	// Key is the attribute, element or field that the finding is about.
	Key      string `json:"key,omitempty"`
	Text     string `json:"text"`
	Expected string `json:"expected,omitempty"`
	// Fixable says that Edit fixes it.
	Fixable bool  `json:"fixable"`
	Edit    *Edit `json:"-"`
}

// String is the finding as compilers write theirs.
func (f Finding) String() string {
	text := fmt.Sprintf("%s:%d:%d: %s: %s", f.File, f.Row, f.Column, f.Severity, f.Text)
	if f.Expected != "" {
		text += "; expected " + f.Expected
	}
	return text + " [" + f.Code + "]"
}

// Code is one kind of finding.
type Code struct {
	Name     string
	Severity Severity
	Text     string // what it means
}

// BuildHost is the code of a finding about a fact of the machine that the image was built
// on.
const BuildHost = "build-host"

// The codes of findings. They are stable: tools may rely on them.
const (
	codeSyntax           = "syntax"
	codeTooCostly        = "too-costly"
	codeShape            = "shape"
	codeUnknownFeature   = "unknown-feature"
	codeUnknownElement   = "unknown-element"
	codeUnknownFlag      = "unknown-flag"
	codeUnknownOperator  = "unknown-operator"
	codeUnknownAttribute = "unknown-attribute"
	codeUnknownTarget    = "unknown-target"
	codeOperatorValues   = "operator-values"
	codeBadValue         = "bad-value"
	codeValueSpelling    = "value-spelling"
	codeNotAString       = "not-a-string"
	codeLabelPrefix      = "label-prefix"
	codeContradiction    = "contradiction"
	codeVersionParts     = "version-parts"
	codeWrongArch        = "wrong-architecture"
	codeEmptyRule        = "empty-rule"
	codeAnnotation       = "annotation-key"
)

// Codes returns all codes, in the order of their names.
func Codes() []Code {
	return []Code{
		{codeAnnotation, Error, "the annotation of the time has a misspelt key, so that readers cannot tell which artifact is the newest"},
		{codeBadValue, Error, "a value makes no sense for the attribute"},
		{BuildHost, Warning, "a fact of the machine that the image was built on is a requirement"},
		{codeContradiction, Error, "the conditions can never hold together"},
		{codeEmptyRule, Warning, "a rule, set or group requires nothing"},
		{codeLabelPrefix, Warning, "a key has the prefix of a node label, which other readers of the dialect do not take off"},
		{codeNotAString, Warning, "NFD wants a string, and this is a number or a bool"},
		{codeOperatorValues, Error, "the operator has too few, too many or unusable values"},
		{codeShape, Error, "the document is not of the shape of its dialect"},
		{codeSyntax, Error, "the document is neither JSON nor YAML"},
		{codeTooCostly, Error, "evaluating it takes more steps than nodes spend on an artifact"},
		{codeUnknownAttribute, Error, "no compatibility spec knows the attribute"},
		{codeUnknownElement, Error, "the feature has no such element"},
		{codeUnknownFeature, Error, "no such feature exists; a warning for a family of the operator's own"},
		{codeUnknownFlag, Error, "no known CPU has such a flag; a warning where none is spelt alike"},
		{codeUnknownOperator, Error, "no such operator exists"},
		{codeUnknownTarget, Error, "archspec has no such CPU"},
		{codeValueSpelling, Error, "no node has a value spelt so; a warning where the reader of the dialect takes it"},
		{codeVersionParts, Warning, "the parts of a version are compared one by one, which is false on later versions"},
		{codeWrongArch, Error, "what is asked for is of different architectures"},
	}
}

// sortFindings puts them in the order of the text, and drops duplicates.
func sortFindings(findings []Finding) []Finding {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Row, b.Row), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Code, b.Code))
	})
	return slices.CompactFunc(findings, func(a, b Finding) bool {
		return a.Row == b.Row && a.Column == b.Column && a.Code == b.Code && a.Text == b.Text
	})
}
