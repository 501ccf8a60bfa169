package convert

import (
	"bytes"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
)

// The shape of NFD's image compatibility spec.
type (
	nfdDocument struct {
		Version         string   `yaml:"version"`
		Compatibilities []nfdSet `yaml:"compatibilities"`
	}
	nfdSet struct {
		Tag         string    `yaml:"tag,omitempty"`
		Weight      int       `yaml:"weight,omitempty"`
		Description string    `yaml:"description,omitempty"`
		Rules       []nfdRule `yaml:"rules"`
	}
	nfdRule struct {
		Name          string            `yaml:"name"`
		Vars          map[string]string `yaml:"vars,omitempty"`
		MatchFeatures []nfdFeature      `yaml:"matchFeatures,omitempty"`
		MatchAny      []nfdWay          `yaml:"matchAny,omitempty"`
	}
	nfdWay struct {
		MatchFeatures []nfdFeature `yaml:"matchFeatures"`
	}
	nfdFeature struct {
		Feature          string                   `yaml:"feature"`
		MatchExpressions map[string]nfdExpression `yaml:"matchExpressions,omitempty"`
		MatchName        *nfdExpression           `yaml:"matchName,omitempty"`
	}
	nfdExpression struct {
		Op    string   `yaml:"op"`
		Value []string `yaml:"value,omitempty,flow"`
		Type  string   `yaml:"type,omitempty"`
	}
)

// maxPreferences bounds how many preferences become sets: each of their
// combinations is one.
const maxPreferences = 3

type nfdWriter struct {
	*Written
	beyond []string // features that only imagefit has
}

// writeNFD writes requirements as NFD's image compatibility spec.
func writeNFD(reqs []compat.Requirement) (*Written, error) {
	w := &nfdWriter{Written: &Written{}}
	document := nfdDocument{Version: "v1alpha1", Compatibilities: w.sets(reqs)}
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(document); err != nil {
		return nil, fmt.Errorf("write YAML: %w", err)
	}
	w.Body = b.Bytes()
	if err := verifyWritten(w.Body, dialect.NFD); err != nil {
		return nil, err
	}
	slices.Sort(w.beyond)
	for _, set := range slices.Compact(w.beyond) {
		w.Notes = append(w.Notes, "NFD itself has no feature "+set+"; imagefit has")
	}
	return w.Written, nil
}

// sets makes a set of each alternative, or one of everything.
func (w *nfdWriter) sets(reqs []compat.Requirement) []nfdSet {
	if len(reqs) != 1 || reqs[0].Combine != compat.AnyOf || reqs[0].Not || reqs[0].Importance != compat.Required {
		return w.preferences(reqs)
	}
	if _, isKernel := kernelFrom(&reqs[0]); isKernel {
		return w.preferences(reqs)
	}
	var all []nfdSet
	for i := range reqs[0].Parts {
		part := &reqs[0].Parts[i]
		sets := w.preferences([]compat.Requirement{*part})
		for j := range sets {
			sets[j].Weight += part.Weight
			sets[j].Description = part.Title
			if part.Key != "compatibilities" && part.Key != fmt.Sprintf("set %d", i+1) {
				sets[j].Tag = part.Key
			}
		}
		all = append(all, sets...)
	}
	return all
}

// preferences makes one set of requirements that hold together; or, with
// preferences, one of each combination of them, with the sum of their weights.
func (w *nfdWriter) preferences(reqs []compat.Requirement) []nfdSet {
	var required, preferred []compat.Requirement
	for _, r := range flat(reqs) {
		switch {
		case r.Importance == compat.Required:
			required = append(required, r)
		case r.Importance == compat.Informative || r.Unclear != "" || r.Weight == 0:
		case len(preferred) == maxPreferences:
			w.lose(&r, fmt.Sprintf("NFD has no preferences, and sets for more than %d are too many", maxPreferences))
		default:
			preferred = append(preferred, r)
		}
	}
	base := w.rules(required)
	extra := make([][]nfdRule, len(preferred))
	for i := range preferred {
		extra[i] = w.rules(preferred[i : i+1])
	}
	var sets []nfdSet
	for chosen := 1<<len(preferred) - 1; chosen >= 0; chosen-- {
		set := nfdSet{Rules: append([]nfdRule{}, base...)}
		for i := range preferred {
			if chosen>>i&1 == 1 {
				set.Weight += preferred[i].Weight
				set.Rules = append(set.Rules, extra[i]...)
			}
		}
		sets = append(sets, set)
	}
	return sets
}

// flat takes apart what holds together, where some of it is only preferred.
func flat(reqs []compat.Requirement) []compat.Requirement {
	var all []compat.Requirement
	for _, r := range reqs {
		mixed := slices.ContainsFunc(r.Parts, func(p compat.Requirement) bool {
			return p.Importance != compat.Required || p.Combine == compat.AllOf
		})
		if r.Combine == compat.AllOf && !r.Not && r.Unclear == "" && r.Importance == compat.Required && len(r.Defines) == 0 && mixed {
			all = append(all, flat(r.Parts)...)
		} else {
			all = append(all, r)
		}
	}
	return all
}

func (w *nfdWriter) lose(req *compat.Requirement, why string) {
	w.Lost = append(w.Lost, req.Want()+": "+why)
}

// rules makes rules of requirements that hold together, each by itself.
func (w *nfdWriter) rules(reqs []compat.Requirement) []nfdRule {
	var rules []nfdRule
	for i := range reqs {
		r := &reqs[i]
		if r.Combine == compat.AllOf && !r.Not && r.Unclear == "" {
			inner := w.rules(slices.DeleteFunc(slices.Clone(r.Parts), func(p compat.Requirement) bool {
				return p.Importance != compat.Required
			}))
			if len(r.Defines) > 0 && len(inner) > 0 {
				inner[0].Vars = r.Defines
			}
			rules = append(rules, inner...)
			continue
		}
		if r.Importance == compat.Informative {
			continue
		}
		ways, why := w.ways(r, false)
		if why != "" {
			w.lose(r, why)
			continue
		}
		rules = append(rules, ruleOf(r, ways))
	}
	return rules
}

func ruleOf(r *compat.Requirement, ways [][]nfdFeature) nfdRule {
	rule := nfdRule{Name: textutil.Short(r.Key)}
	if r.Key == "" {
		rule.Name = r.Want()
	}
	if len(ways) == 1 {
		rule.MatchFeatures = ways[0]
		return rule
	}
	for _, way := range ways {
		rule.MatchAny = append(rule.MatchAny, nfdWay{way})
	}
	return rule
}
