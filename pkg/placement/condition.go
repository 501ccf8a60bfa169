package placement

import (
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/selector"
	"github.com/imagefit/imagefit/pkg/version"
)

// condition is what a token means.
type condition struct {
	token string
	// scale and least order conditions that a node meets one after the other: who has
	// kernel 6.8 has 6.2. scale is empty where nothing is ordered.
	scale, least string
	meaning      string                    // differs where the token is that of another condition
	holds        func(f *facts.Facts) bool // or it is unknown whether it does
}

// implies reports whether every node that meets c meets d.
func (c condition) implies(d condition) bool {
	switch {
	case c.token == d.token:
		return true
	case c.scale == levels && d.token == TokenPrefix+"amd64":
		return true
	case c.scale == "" || c.scale != d.scale:
		return false
	}
	order, ok := version.Compare(c.least, d.least)
	return ok && order >= 0
}

// levels is the scale of the levels of x86-64.
const levels = "x86_64_v"

// ofPlatform is the condition to run images of a platform.
func ofPlatform(p ocispec.Platform) (condition, error) {
	p = platforms.Normalize(p)
	words := []string{p.Architecture}
	if p.OS != "linux" {
		words = []string{p.OS, p.Architecture}
	}
	if p.Variant != "" && p.Architecture != "amd64" { // there the level is a requirement
		words = append(words, p.Variant)
	}
	if p.OSVersion != "" {
		words = append(words, p.OSVersion)
	}
	token, err := tokenOf(strings.Join(words, "_"))
	return condition{token: token, meaning: "platform", holds: func(f *facts.Facts) bool { return f.Arch() == "" || decision.CanRun(f, p) }}, err
}

// ofRequirement is the condition that a requirement states as a whole.
func ofRequirement(r *compat.Requirement) (condition, error) {
	c := condition{meaning: meaningOf(r), holds: func(f *facts.Facts) bool {
		required := *r
		required.Importance = compat.Required
		return selector.Evaluate(f, []compat.Requirement{required}).Outcome != selector.Unfit
	}}
	name, err := nameOf(r)
	if err != nil {
		return condition{}, notWritable(r)
	}
	if c.token, err = tokenOf(strings.ReplaceAll(name, " ", "_")); err != nil {
		return condition{}, notWritable(r)
	}
	switch {
	case isLevel(r): // without facts of the CPU, what is of another architecture has no level
		evaluated := c.holds
		c.scale, c.least = levels, r.Terms[0].Values[0]
		c.holds = func(f *facts.Facts) bool { return (f.Arch() == "amd64" || f.Arch() == "") && evaluated(f) }
	case isPlain(r) && r.Terms[0].Op == compat.Ge:
		c.scale, c.least = r.Set+"."+r.Terms[0].Element, r.Terms[0].Values[0]
	}
	return c, nil
}

// isPlain reports whether a requirement is about one element and nothing else.
func isPlain(r *compat.Requirement) bool {
	return r.Combine == compat.Leaf && len(r.Terms) == 1 && !r.Not && len(r.May) == 0 && r.Each == nil && r.Newer == nil
}

func isLevel(r *compat.Requirement) bool {
	return isPlain(r) && r.Set == "cpu.x86_64" && r.Terms[0].Element == "level" && r.Terms[0].Op == compat.Ge
}

// nameOf names the condition of a requirement.
func nameOf(r *compat.Requirement) (string, error) {
	switch {
	case r.Newer != nil:
		return r.Newer.Set + "." + r.Newer.For, nil
	case isLevel(r):
		return levels + r.Terms[0].Values[0], nil
	case isPlain(r) && r.Set == targets && r.Terms[0].Op == compat.Exists:
		return targetName(r.Terms[0].Element), nil
	}
	words := []string{r.Set}
	for i := range r.Terms {
		word, err := wordOf(&r.Terms[i])
		if err != nil {
			return "", err
		}
		words = append(words, word)
	}
	if r.Not {
		words = append([]string{"not"}, words...)
	}
	return strings.Join(words, "."), nil
}

// targets is the set of CPU targets.
const targets = "cpu.archspec"

// targetName is the name of a target. Those of the levels of x86-64 are no levels: a CPU
// may have one without the other.
func targetName(target string) string {
	if strings.HasPrefix(target, levels) {
		return targets + "." + target
	}
	return target
}

// meaningOf tells apart requirements that have one name.
func meaningOf(r *compat.Requirement) string {
	terms := make([]string, len(r.Terms))
	for i, t := range r.Terms {
		terms[i] = fmt.Sprintf("%q %s %q", t.Element, t.Op, t.Values)
	}
	return fmt.Sprintf("%q %q %v %v %+v %+v", r.Set, terms, r.Not, len(r.May), r.Each, r.Newer)
}

// wordOf names a term as part of a token.
func wordOf(t *compat.Term) (string, error) {
	joint := map[compat.Op]string{
		compat.In: "_is_", compat.NotIn: "_not_", compat.Gt: "_gt_", compat.Ge: "_ge_", compat.Lt: "_lt_", compat.Le: "_le_",
		compat.GtLt: "_between_", compat.GeLe: "_from_", compat.IsTrue: "_true", compat.IsFalse: "_false", compat.Exists: "", compat.DoesNotExist: "_absent",
	}
	word, ok := joint[t.Op]
	if !ok {
		return "", fmt.Errorf("no token can mean %s", t.Op)
	}
	return t.Element + word + strings.Join(t.Values, "_"), nil
}

// notWritable tells of what no token can stand for.
func notWritable(r *compat.Requirement) error { return fmt.Errorf("no token can mean %s", r.Want()) }

// maxToken bounds the name of a token.
const maxToken = 100

// tokenOf makes a token of a name that both Slurm and Flux read as one word.
func tokenOf(name string) (string, error) {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	if name == "" || len(name) > maxToken || strings.Trim(name, allowed) != "" || IsClass(TokenPrefix+name) {
		return "", fmt.Errorf("no token can be named %q", name)
	}
	return TokenPrefix + name, nil
}

// IsClass reports whether a token is that of a class.
func IsClass(token string) bool {
	const digits = 12
	id, ok := strings.CutPrefix(token, TokenPrefix)
	return ok && len(id) == digits && strings.Trim(id, "0123456789abcdef") == ""
}

// always are conditions that nodes are told apart by whatever the images are.
func always() []condition {
	var all []condition
	for _, architecture := range []string{"amd64", "arm64", "ppc64le", "riscv64", "s390x"} {
		if c, err := ofPlatform(ocispec.Platform{OS: "linux", Architecture: architecture}); err == nil {
			all = append(all, c)
		}
	}
	for _, level := range []string{"2", "3", "4"} {
		r := compat.Requirement{Set: "cpu.x86_64", Terms: []compat.Term{{Element: "level", Op: compat.Ge, Values: []string{level}}}}
		if c, err := ofRequirement(&r); err == nil {
			all = append(all, c)
		}
	}
	return all
}

// ofFacts are the tokens of what the facts list themselves: the targets of the CPU, each
// with its ancestors, and the vendors of GPUs.
func ofFacts(f *facts.Facts) []string {
	var tokens []string
	for _, target := range f.FeaturesOf(func(set string) bool { return set == targets }).Flags[targets] {
		if token, err := tokenOf(targetName(target)); err == nil {
			tokens = append(tokens, token)
		}
	}
	devices, _ := f.Instances("gpu.device")
	for _, device := range devices {
		if token, err := tokenOf("gpu.device.vendor_is_" + device["vendor"]); err == nil && !slices.Contains(tokens, token) {
			tokens = append(tokens, token)
		}
	}
	return tokens
}
