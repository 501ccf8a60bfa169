package controller

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/imagefit/imagefit/pkg/selector"
)

const (
	// maxRanks bounds the terms by which a pod prefers better variants.
	maxRanks = 8
	// maxUnfit bounds the classes that a pod is kept off by name.
	maxUnfit = 512
	// bestWeight is the weight of the best rank, the greatest that there is.
	bestWeight = 100
)

// terms are what a pod's node affinity gets.
type terms struct {
	required  []corev1.NodeSelectorRequirement
	preferred []corev1.PreferredSchedulingTerm
}

// termsOf derives the terms from how the pod fits each kind of node. A class that does
// not fit is excluded and one without a verdict is not, so that a node which has just
// joined, or which an autoscaler would add, is not ruled out; strict requires a class
// that fits.
func termsOf(fits []podFit, strict bool) terms {
	var t terms
	systems, limited := allowed(fits, func(h host) string { return h.os })
	if limited {
		t.required = append(t.required, corev1.NodeSelectorRequirement{Key: osLabel, Operator: corev1.NodeSelectorOpIn, Values: systems})
	}
	arches, limited := allowed(fits, func(h host) string { return h.arch })
	if limited {
		t.required = append(t.required, corev1.NodeSelectorRequirement{Key: archLabel, Operator: corev1.NodeSelectorOpIn, Values: arches})
	}
	var unfit, fitting []string
	for _, f := range fits {
		switch {
		case f.ID == "":
		case f.Outcome != selector.Unfit:
			fitting = append(fitting, f.ID)
		case !limited || slices.Contains(arches, f.arch):
			unfit = append(unfit, f.ID)
		}
	}
	slices.Sort(unfit)
	switch {
	case strict && len(fitting) > 0:
		slices.Sort(fitting)
		t.required = append(t.required, corev1.NodeSelectorRequirement{Key: ClassLabel, Operator: corev1.NodeSelectorOpIn, Values: fitting})
	case len(unfit) > 0:
		unfit = unfit[:min(len(unfit), maxUnfit)]
		t.required = append(t.required, corev1.NodeSelectorRequirement{Key: ClassLabel, Operator: corev1.NodeSelectorOpNotIn, Values: unfit})
	}
	t.preferred = preferences(fits)
	return t
}

// allowed returns the architectures, or operating systems, for which the images of the pod
// have something, and whether there are others. Every node has a label with its own, also
// those that an autoscaler only plans.
func allowed(fits []podFit, of func(host) string) (values []string, limited bool) {
	var foreign []string
	for _, f := range fits {
		switch {
		case f.ID != "":
		case f.Outcome == selector.Unfit: // for lack of an image: nothing else is known there
			foreign = append(foreign, of(f.host))
		default:
			values = append(values, of(f.host))
		}
	}
	slices.Sort(values)
	values = slices.Compact(values)
	limited = slices.ContainsFunc(foreign, func(value string) bool { return !slices.Contains(values, value) })
	return values, limited && len(values) > 0
}

// preferences prefers the classes with the better variants. The worst rank needs no term,
// nor do nodes without a class, which rank by what is known of their platform.
func preferences(fits []podFit) []corev1.PreferredSchedulingTerm {
	byRank := map[int][]string{}
	var ranks []int
	for _, f := range fits {
		if f.Outcome == selector.Unfit || f.ID == "" && f.nodes == 0 {
			continue
		}
		ranks = append(ranks, f.Rank)
		if f.ID != "" {
			byRank[f.Rank] = append(byRank[f.Rank], f.ID)
		}
	}
	slices.Sort(ranks)
	ranks = slices.Compact(ranks)
	var preferred []corev1.PreferredSchedulingTerm
	steps := min(len(ranks)-1, maxRanks)
	for i := range steps {
		classes := byRank[ranks[i]]
		if len(classes) == 0 {
			continue
		}
		slices.Sort(classes)
		preferred = append(preferred, corev1.PreferredSchedulingTerm{
			Weight: int32(bestWeight * (steps - i) / steps), //nolint:gosec // 1 to 100
			Preference: corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{
				{Key: ClassLabel, Operator: corev1.NodeSelectorOpIn, Values: classes},
			}},
		})
	}
	return preferred
}
