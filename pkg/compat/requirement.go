package compat

import (
	"fmt"
	"slices"
)

// MaxWeight bounds weights, so that no sum of them overflows.
const MaxWeight = 1_000_000

// Importance says what follows when a requirement does not hold.
type Importance uint8

// The three kinds of importance. The zero value is Required.
const (
	Required    Importance = iota // the image does not fit without it
	Preferred                     // the image is a better choice with it
	Informative                   // for people; nothing follows
)

// String returns the importance in lower case.
func (i Importance) String() string {
	return [...]string{"required", "preferred", "informative"}[min(i, Informative)]
}

// Op is an operator under its NFD name.
type Op string

// The operators of NFD's match expressions that requirements are made of.
const (
	Any          Op = "Any" // whatever it is, even where there is nothing; NFD's ""
	Exists       Op = "Exists"
	DoesNotExist Op = "DoesNotExist"
	In           Op = "In"
	NotIn        Op = "NotIn"
	InRegexp     Op = "InRegexp"
	Gt           Op = "Gt"
	Ge           Op = "Ge"
	Lt           Op = "Lt"
	Le           Op = "Le"
	GtLt         Op = "GtLt" // between two values, without them
	GeLe         Op = "GeLe" // between two values, or one of them
	IsTrue       Op = "IsTrue"
	IsFalse      Op = "IsFalse"
)

// Ops returns all operators.
func Ops() []Op {
	return []Op{Any, Exists, DoesNotExist, In, NotIn, InRegexp, Gt, Ge, Lt, Le, GtLt, GeLe, IsTrue, IsFalse}
}

// Values returns how many values the operator takes; -1 is one or more.
func (o Op) Values() int {
	switch o {
	case In, NotIn, InRegexp:
		return -1
	case Gt, Ge, Lt, Le:
		return 1
	case GtLt, GeLe:
		return 2
	default:
		return 0
	}
}

// Term is one condition on one element of a feature set.
type Term struct {
	Element string
	Op      Op
	Values  []string
	// Version says that the author asked for a comparison of versions (NFD's
	// "type: version"). Numbers compare the same way without it.
	Version bool
	// Programs are the sizes of the Values of InRegexp once they are compiled, in
	// instructions; a parser sets them, so that a bad pattern is an error where it is
	// read. They are compiled where they are used: the programs of an image would take
	// more memory than the rest of it.
	Programs []int
}

// Combine says how the parts of a requirement decide it.
type Combine uint8

// The ways to combine. The zero value is Leaf.
const (
	Leaf   Combine = iota // Terms and Name on Set decide; there are no Parts
	AllOf                 // every required part holds
	AnyOf                 // at least one part holds
	OneOf                 // exactly one part holds
	NoneOf                // no part holds
)

// Requirement is one thing an image asks for of the node: a condition on
// facts, or several requirements combined.
//
// In AllOf the importance of the parts applies, as it does at the top:
// a preferred part only adds its weight, an informative one nothing. The other
// combinations ask of each part whether it holds, whatever its importance.
type Requirement struct {
	// Key is the attribute as its author wrote it, such as
	// "kernel/kernel-version.major".
	Key string
	// Title is what the author calls the requirement, for people: the name of
	// a rule, a description or a tag.
	Title string
	// Set is the NFD feature set the terms are about, such as "kernel.version".
	Set string
	// Terms must hold all together; in a set of instances all on one instance.
	Terms []Term
	// Name, if not nil, is a condition that the name of at least one element of
	// the set meets (NFD's matchName). Its Element is not used.
	Name *Term
	// Combine and Parts make a requirement of others.
	Combine Combine
	Parts   []Requirement
	// Prune leaves unlooked at in AllOf what comes after a required part that
	// does not hold: the first parts decide whether the others mean anything.
	Prune bool
	// Not negates the requirement: it holds where the rest does not.
	Not bool
	// Importance says what follows when the requirement does not hold.
	Importance Importance
	// Weight is added to a candidate's score when a preferred requirement holds,
	// or a part of AnyOf or OneOf: of such parts the best one is taken.
	Weight int
	// Origin names who states the requirement, where it is not the image's author: a
	// file of the operator, or a base image.
	Origin string
	// Unclear, if not empty, says why no fact can decide the requirement.
	Unclear string
	// Strict makes an unclear requirement, or an unclear part of this one, one
	// that does not hold, where the operator's policy says so.
	Strict bool
	// May are the conditions under which a node on which the Terms do not hold may
	// run the image all the same, so that it is unknown.
	May []May
	// Each, if not nil, are devices of which every one is asked for by itself.
	Each *Each
	// Newer, if not nil, is a version that the requirement comes down to, for a
	// sentence that does not list all of its parts.
	Newer *Newer
	// Defines is what the set rule.matched holds for the later parts of the
	// AllOf that this requirement is a part of, where it holds (NFD's vars).
	Defines map[string]string
}

// Each is a list of devices that a requirement is evaluated on one by one: which of them a
// container gets is not known, so that it holds where it does on all and does not where it
// does on none.
type Each struct {
	Devices  string   // a set of instances
	Element  string   // only instances where this element
	Value    string   // has this value count
	Set      string   // whose Elements are those of the instance
	Elements []string // that may differ between instances
}

// May is a condition and what depends on it.
type May struct {
	Set   string
	Terms []Term
	Why   string // it is not known whether the image runs
}

// Newer is a version of something on the node: the driver of CUDA 12.8, which is
// 570.26 or newer.
type Newer struct {
	What         string // driver
	For          string // CUDA 12.8
	Set, Element string // where the node's version is
	Least        string
}

// Unclearf returns the requirement with the reason why no fact can decide it.
func (r Requirement) Unclearf(format string, args ...any) Requirement {
	r.Unclear = fmt.Sprintf(format, args...)
	return r
}

// Clone copies requirements and their parts, so that a copy can be changed. What they
// compare with is shared.
func Clone(reqs []Requirement) []Requirement {
	copies := slices.Clone(reqs)
	for i := range copies {
		copies[i].Parts = Clone(copies[i].Parts)
	}
	return copies
}

// Walk calls visit for each requirement and each of its parts, the whole before
// its parts.
func Walk(reqs []Requirement, visit func(r *Requirement)) {
	for i := range reqs {
		visit(&reqs[i])
		Walk(reqs[i].Parts, visit)
	}
}
