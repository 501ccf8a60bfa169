package lint

import (
	"slices"
	"strings"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/compat/document"
	"github.com/imagefit/imagefit/pkg/hostfacts"
)

// labelPrefix is that of NFD's labels on a node.
const labelPrefix = "feature.node.kubernetes.io/"

// scopes looks at the attributes of a document, and for places that ask for
// nothing.
func (r *run) scopes(scopes []dialect.Scope, root *document.Node) {
	if all := root.Field("compatibilities"); all.IsEmpty() && all.Kind == document.Mapping {
		r.empty(all, "compatibilities")
	}
	for _, s := range scopes {
		for _, g := range s.Groups {
			if g.Node.IsEmpty() && g.Node.Kind == document.Mapping {
				r.empty(g.Node, "the group "+textutil.Quote(g.Name))
			}
		}
		r.attributes(s.All(), r.in.Requirements(s.Plain()))
	}
}

// attributes looks at attributes that must all hold, by what the compatibility
// specs make of them.
func (r *run) attributes(scope []dialect.Located, reqs []compat.Requirement) {
	unclear := map[string]string{} // by the name of the attribute
	compat.Walk(reqs, func(req *compat.Requirement) {
		if req.Unclear == "" || req.Importance == compat.Informative {
			return
		}
		for _, a := range scope {
			if req.Key == a.Name() || slices.Contains(strings.Fields(req.Key), a.Name()) {
				unclear[a.Name()] = req.Unclear
			}
		}
	})
	var asks []*ask
	for i := range scope {
		a := &scope[i]
		if bare, ok := strings.CutPrefix(a.Key, labelPrefix); ok {
			taken := slices.ContainsFunc(scope, func(b dialect.Located) bool {
				return b.Group == a.Group && b.Key == bare
			})
			r.at(a.KeyAt, codeLabelPrefix).fixedIf(!taken, bare).say(a.Key, "the key is that of a node's label", bare)
		}
		r.hostname(a)
		if why := unclear[a.Name()]; why != "" {
			r.unclear(a, why)
			continue
		}
		asks = append(asks, r.asksOf(a)...)
	}
	for _, a := range asks {
		r.check(a)
	}
	r.together(slices.DeleteFunc(asks, func(a *ask) bool { return a.preference || hostfacts.HasInstances(a.set) }), 0)
}

// hostname looks for keys that tell one machine from its twin, and for models
// of CPUs that tools note down and people then take for requirements.
func (r *run) hostname(a *dialect.Located) {
	name := a.Key[strings.LastIndexAny(a.Key, "./")+1:]
	switch strings.ToLower(name) {
	case "hostname", "nodename", "host-name", "machine-id":
		r.at(a.KeyAt, BuildHost).say(a.Key, "this is true of one machine only", "what the image needs of any machine")
	case "model", "family":
		if strings.Contains(a.Key, "cpu") || a.Group == "cpu" || a.Group == "io.archspec" {
			r.at(a.KeyAt, BuildHost).say(a.Key, "the model of a CPU is that of a build host", "a CPU target or flags that the image needs")
		}
	}
}

func (r *run) unclear(a *dialect.Located, why string) {
	key := strings.TrimPrefix(a.Key, labelPrefix)
	switch {
	case strings.HasPrefix(why, "no compatibility spec knows"):
		r.at(a.KeyAt, codeUnknownAttribute).say(a.Key, "no compatibility spec knows "+textutil.Quote(a.Name()), r.nearestAttribute(a.Group, key))
	case strings.Contains(why, "CPU target"):
		r.at(a.ValueAt, codeUnknownTarget).say(a.Key, "archspec has no CPU target "+textutil.Quote(a.Value), nearTarget(a.Value))
	default:
		right, ok := map[string]string{
			"yes": "true", "no": "false", "on": "true", "off": "false", "true": "true", "false": "false",
		}[strings.ToLower(a.Value)]
		if ok && right != a.Value && strings.Contains(why, "true nor false") {
			r.at(a.ValueAt, codeValueSpelling).fixed(right).say(a.Key, why, right)
			return
		}
		r.at(a.ValueAt, codeBadValue).say(a.Key, why, "")
	}
}

// nearestAttribute looks for a key that is spelt alike among those of the
// specs; of a family of keys the part before the name is compared.
func (r *run) nearestAttribute(group, key string) string {
	var known []string
	for i := range r.specs {
		spec := &r.specs[i]
		prefix, speaks := spec.Prefixes[group]
		for j := range spec.Nodes {
			for _, pattern := range spec.Nodes[j].Spellings() {
				family, _, isFamily := strings.Cut(pattern, "*")
				if isFamily && len(key) > len(family) {
					if at := strings.LastIndexByte(key[:min(len(key), len(family)+2)], '.'); at >= 0 {
						pattern = family + key[at+1:]
					}
				}
				known = append(known, pattern)
				if short, ok := strings.CutPrefix(pattern, prefix); ok && speaks {
					known = append(known, short)
				}
			}
		}
	}
	return textutil.Nearest(key, known)
}

// asksOf are the conditions that one attribute makes by itself.
func (r *run) asksOf(a *dialect.Located) []*ask {
	var asks []*ask
	single := r.in.Requirements([]compat.Attribute{a.Attribute})
	alternatives := false
	compat.Walk(single, func(req *compat.Requirement) {
		alternatives = alternatives || req.Combine != compat.Leaf && req.Combine != compat.AllOf
		if req.Combine != compat.Leaf || req.Unclear != "" {
			return
		}
		for _, term := range req.Terms {
			op := term.Op
			if req.Not && op == compat.Exists {
				term.Op = compat.DoesNotExist
			}
			name := a.KeyAt
			if req.Set == "cpu.archspec" {
				name = a.ValueAt
			}
			asks = append(asks, &ask{
				set: req.Set, term: term, name: name, op: a.ValueAt, values: []*document.Node{a.ValueAt},
				preference: req.Importance != compat.Required || req.Not && op != compat.Exists,
			})
		}
	})
	if alternatives {
		return nil // each is as the spec wants it
	}
	return asks
}
