package author

import (
	"bytes"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/imagefit/imagefit/pkg/compat"
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
	slices.Sort(w.beyond)
	for _, set := range slices.Compact(w.beyond) {
		w.Notes = append(w.Notes, "NFD itself has no feature "+set+"; imagefit has")
	}
	return w.Written, nil
}

// sets makes a set of each alternative, or one of everything; or, with
// preferences, one of each combination of them, with the sum of their weights.
func (w *nfdWriter) sets(reqs []compat.Requirement) []nfdSet {
	if len(reqs) == 1 && reqs[0].Combine == compat.AnyOf && !reqs[0].Not && reqs[0].Importance == compat.Required {
		if _, isKernel := kernelFrom(&reqs[0]); !isKernel {
			var sets []nfdSet
			for i := range reqs[0].Parts {
				part := &reqs[0].Parts[i]
				set := nfdSet{Weight: part.Weight, Rules: w.rules([]compat.Requirement{*part})}
				if part.Title != "" {
					set.Description = part.Title
				}
				if part.Key != "compatibilities" && part.Key != fmt.Sprintf("set %d", i+1) {
					set.Tag = part.Key
				}
				sets = append(sets, set)
			}
			return sets
		}
	}
	preferred := slices.DeleteFunc(slices.Clone(reqs), func(r compat.Requirement) bool {
		return r.Importance != compat.Preferred || r.Unclear != "" || r.Weight <= 0
	})
	if len(preferred) > maxPreferences {
		for i := range preferred[maxPreferences:] {
			w.lose(&preferred[maxPreferences+i], fmt.Sprintf("NFD has no preferences, and sets for more than %d are too many", maxPreferences))
		}
		preferred = preferred[:maxPreferences]
	}
	required := slices.DeleteFunc(slices.Clone(reqs), func(r compat.Requirement) bool { return r.Importance != compat.Required })
	base := w.rules(required)
	extra := make([][]nfdRule, len(preferred))
	for i := range preferred {
		extra[i] = w.rules(preferred[i : i+1])
	}
	var sets []nfdSet
	for chosen := 1<<len(preferred) - 1; chosen >= 0; chosen-- {
		set := nfdSet{Rules: slices.Clone(base)}
		for i := range preferred {
			if chosen>>i&1 == 1 {
				set.Weight += preferred[i].Weight
				set.Rules = append(set.Rules, extra[i]...)
			}
		}
		if set.Rules == nil {
			set.Rules = []nfdRule{}
		}
		sets = append(sets, set)
	}
	return sets
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
			inner := w.rules(r.Parts)
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
	rule := nfdRule{Name: cut(r.Key)}
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
