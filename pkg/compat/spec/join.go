package spec

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/version"
)

// joint is the requirement that several attributes make, before what they ask
// for is known.
func joint(all []boundAttribute) compat.Requirement {
	n := all[0].node
	req := compat.Requirement{Set: n.Fact, Importance: n.importance(), Weight: n.Weight}
	keys := make([]string, len(all))
	for i, s := range all {
		keys[i] = s.Name()
		req.Importance = min(req.Importance, s.node.importance())
		req.Weight = max(req.Weight, s.node.Weight)
	}
	req.Key = strings.Join(keys, " ")
	return req
}

// joinedRequirement makes one requirement of attributes that are about the same
// instance, such as the vendor and the class of one device.
func joinedRequirement(all []boundAttribute) compat.Requirement {
	req := joint(all)
	for _, s := range all {
		one := s.requirement()
		switch {
		case one.Unclear != "":
			return req.Unclearf("%s", one.Unclear)
		case one.Set != req.Set || one.Not:
			return req.Unclearf("%s cannot be joined with the others", textutil.Quote(s.Key))
		}
		for _, term := range one.Terms {
			if !slices.ContainsFunc(req.Terms, func(t compat.Term) bool {
				return t.Element == term.Element && t.Op == term.Op && slices.Equal(t.Values, term.Values)
			}) {
				req.Terms = append(req.Terms, term)
			}
		}
	}
	return req
}

// partsRequirement makes one version of attributes that state it part by part,
// such as kernel-version.major and .minor: apart they would refuse 7.0 to who
// asks for 6.8 or later.
func partsRequirement(all []boundAttribute) compat.Requirement {
	req := joint(all)
	var values [3][]string // of each part what was given for it
	for _, s := range all {
		values[s.node.Part-1] = append(values[s.node.Part-1], s.Value)
	}
	var want []string
	for i, given := range values {
		switch {
		case len(given) == 0:
			continue
		case len(given) > 1:
			return req.Unclearf("a part of the version is given more than once")
		case len(want) < i:
			return req.Unclearf("a part of the version is missing before the last one given")
		}
		if n, ok := version.Parse(given[0]); !ok || n.String() != given[0] || len(n) != 1 {
			return req.Unclearf("%s is not a whole number", textutil.Quote(given[0]))
		}
		want = append(want, given[0])
	}
	req.Terms = []compat.Term{{Element: all[0].node.Element, Op: compat.Ge, Values: []string{strings.Join(want, ".")}}}
	return req
}

// role returns the one attribute of a role, in its normal spelling.
func role(all []boundAttribute, name string) (value string, node *Node, twice bool) {
	for _, s := range all {
		if s.node.Role != name {
			continue
		}
		if node != nil {
			return "", nil, true
		}
		value, node = s.node.normal(s.Value), s.node
	}
	return value, node, false
}

// abiRequirement asks for a library that can replace the image's own, as
// the hooks of HPC container runtimes put the node's MPI in its place: any
// implementation of its family, or the same one of the same major version that
// is not older by its minor.
func abiRequirement(all []boundAttribute) compat.Requirement {
	req := joint(all)
	name, byName, twice := role(all, "implementation")
	wanted, byVersion, twiceVersion := role(all, "version")
	switch {
	case twice || twiceVersion:
		return req.Unclearf("it is given more than once")
	case byName == nil:
		return req.Unclearf("a version says nothing without the implementation")
	}
	library := abi{byName: byName.Element, version: "version"}
	if byVersion != nil {
		v, ok := version.Parse(wanted)
		if !ok {
			return req.Unclearf("%s is not a version", textutil.Quote(wanted))
		}
		library.version, library.wanted = byVersion.Element, v
	}
	ways := [][]compat.Term{library.same(name)}
	for _, family := range all[0].spec.Families {
		from, isMember := version.Parse(family.Members[name])
		if !isMember {
			continue
		}
		if family.Version == "any" && (library.wanted == nil || library.wanted.Compare(from) >= 0) {
			ways = library.standIns(family, name)
		}
		break
	}
	return onAny(req, byName, ways)
}

// abi is what a library is asked for.
type abi struct {
	byName, version string // elements
	wanted          version.Version
}

// standIns are the terms for each member of a family, the image's own first.
func (l abi) standIns(f Family, own string) [][]compat.Term {
	others := slices.DeleteFunc(slices.Sorted(maps.Keys(f.Members)), func(name string) bool { return name == own })
	var all [][]compat.Term
	for _, name := range append([]string{own}, others...) {
		all = append(all, []compat.Term{
			{Element: l.byName, Op: compat.In, Values: []string{name}},
			{Element: l.version, Op: compat.Ge, Values: []string{f.Members[name]}},
		})
	}
	return all
}

// same are the terms for the same implementation: within a major version
// libraries grow, so the node's may be newer.
func (l abi) same(name string) []compat.Term {
	terms := []compat.Term{{Element: l.byName, Op: compat.In, Values: []string{name}}}
	if l.wanted == nil {
		return terms
	}
	least := l.wanted[:min(2, len(l.wanted))]
	return append(terms,
		compat.Term{Element: l.version, Op: compat.Ge, Values: []string{least.String()}},
		compat.Term{Element: l.version, Op: compat.Lt, Values: []string{strconv.FormatUint(least[0]+1, 10)}})
}

// onAny makes a requirement hold where one of the ways holds, or, where the
// spec says so, where the node is known to have no such library.
func onAny(r compat.Requirement, n *Node, ways [][]compat.Term) compat.Requirement {
	parts := make([]compat.Requirement, 0, len(ways)+1)
	for _, terms := range ways {
		parts = append(parts, compat.Requirement{Key: r.Key, Set: r.Set, Terms: terms})
	}
	if n.IfAbsent == "fits" {
		parts = append(parts, compat.Requirement{Key: r.Key, Set: r.Set, Terms: []compat.Term{{Element: n.Element, Op: compat.DoesNotExist}}})
	}
	if len(parts) == 1 {
		r.Terms = parts[0].Terms
		return r
	}
	r.Combine, r.Parts, r.Set = compat.AnyOf, parts, ""
	return r
}

// releaseRequirement says of an operating system, by its C library, whether
// what the node brings into a container runs there: the libraries of a node,
// such as its MPI or its GPU driver's, need at least the C library they were
// built with. It never refuses, for most containers bring all they need.
func releaseRequirement(all []boundAttribute) compat.Requirement {
	req := joint(all)
	vendor, _, twice := role(all, "vendor")
	release, node, twiceRelease := role(all, "release")
	libc, known := "", false
	if !twice && !twiceRelease {
		libc, known = all[0].spec.libc(vendor, release)
	}
	if !known || node == nil {
		req.Importance, req.Weight = compat.Informative, 0
		return req.Unclearf("a container brings its own operating system")
	}
	req.Terms = []compat.Term{{Element: node.Element, Op: compat.Le, Values: []string{libc}}}
	return req
}

// libc looks up the C library of a release, also by the first parts of its
// version: all of 8.9, 8.10 and 8 have that of 8.
func (s *Spec) libc(vendor, release string) (string, bool) {
	for {
		if v, ok := s.Releases[vendor+" "+release]; ok {
			return v, true
		}
		i := strings.LastIndexByte(release, '.')
		if i < 0 {
			return "", false
		}
		release = release[:i]
	}
}
