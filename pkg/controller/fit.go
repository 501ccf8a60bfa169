package controller

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/nodeclass"
	"github.com/imagefit/imagefit/pkg/placement"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/selector"
)

// host is a kind of node: a node class, or a platform of which nothing else is known.
type host struct {
	nodeclass.Class // without an ID for a platform

	os, arch string
}

// is reports whether nodes of a kind are evaluated as this host.
func (h host) is(kind nodeKind) bool {
	return h.ID == kind.class && (h.ID != "" || h.os == kind.os && h.arch == kind.arch)
}

// podFit is how a pod fits a kind of node.
type podFit struct {
	host
	placement.Verdict

	nodes int // that the cluster has of the kind; of a platform, those without a class
}

// kind names the kind of node as events do.
func (f podFit) kind() string {
	name := f.os + "/" + f.arch
	if f.ID != "" {
		name = "class " + f.ID
	}
	if f.nodes == 1 {
		return name + " (1 node)"
	}
	return fmt.Sprintf("%s (%d nodes)", name, f.nodes)
}

// fitsOf combines how each image of a pod fits the hosts.
func fitsOf(hosts []host, rows []placement.Row) []podFit {
	verdicts := placement.Pod(rows)
	fits := make([]podFit, len(hosts))
	for i, h := range hosts {
		fits[i].host = h
		if verdicts != nil {
			fits[i].Verdict = verdicts[i]
		}
	}
	return fits
}

// evaluated is how an image fits the hosts of a cluster, until these change.
type evaluated struct {
	on    *cluster
	rules *decision.Rules
	row   placement.Row
}

// rowOf returns how an image fits each host of the cluster, as far as that matters to a
// pod.
func (c *Controller) rowOf(ctx context.Context, k *known, on *cluster, pod policy.Pod) (placement.Row, error) {
	needs, err := c.images.read(k)
	if err != nil {
		return placement.Row{}, err
	}
	rules := c.options.Rules()
	e := policy.EffectiveFor(rules.Policy, needs.Repository, pod)
	if e.Mode == policy.Audit {
		return placement.Row{Verdicts: make([]placement.Verdict, len(on.hosts))}, nil
	}
	kept := c.images.evaluated(k)
	if kept.on != on || kept.rules != rules {
		rows, err := placement.New(c.options.Evaluator, rules).Match(ctx, []*decision.Needs{needs}, on.classes())
		if err != nil {
			return placement.Row{}, err
		}
		kept = evaluated{on, rules, rows[0]}
		c.images.setEvaluated(k, needs, kept)
	}
	if e.Exempt || e.NoFit == policy.Forward {
		return relaxed(kept.row, on.hosts), nil
	}
	return kept.row, nil
}

// relaxed prefers the better variants, and rules out nothing but platforms for which
// there is none: there, the runtime itself finds nothing to pull.
func relaxed(row placement.Row, hosts []host) placement.Row {
	foreign, worst := map[string]bool{}, 0
	for i, h := range hosts {
		foreign[h.os+"/"+h.arch] = foreign[h.os+"/"+h.arch] || h.ID == "" && row.Verdicts[i].Outcome == selector.Unfit
		worst = max(worst, row.Verdicts[i].Rank)
	}
	row.Verdicts = slices.Clone(row.Verdicts)
	for i, h := range hosts {
		if v := &row.Verdicts[i]; v.Outcome == selector.Unfit && !foreign[h.os+"/"+h.arch] {
			*v = placement.Verdict{Outcome: selector.Unknown, Rank: worst + 1, Reason: v.Reason}
		}
	}
	return row
}

// classes are the hosts as they are evaluated.
func (c *cluster) classes() []nodeclass.Class {
	all := make([]nodeclass.Class, len(c.hosts))
	for i, h := range c.hosts {
		all[i] = h.Class
	}
	return all
}

const (
	// maxNamed bounds how many kinds of nodes a message names.
	maxNamed = 4
	// maxMessage is what an event may have.
	maxMessage = 1000
)

// noneFits says why no node of the cluster fits, "" where one may.
func noneFits(fits []podFit) string {
	var unfit []podFit
	for _, f := range fits {
		switch {
		case f.nodes == 0:
		case f.Outcome != selector.Unfit:
			return ""
		default:
			unfit = append(unfit, f)
		}
	}
	if len(unfit) == 0 {
		return "" // a cluster without nodes
	}
	slices.SortStableFunc(unfit, func(a, b podFit) int { return cmp.Compare(b.nodes, a.nodes) })
	var parts []string
	for i, f := range unfit {
		if i == maxNamed {
			parts = append(parts, fmt.Sprintf("and %d more kinds of nodes", len(unfit)-maxNamed))
			break
		}
		parts = append(parts, f.kind()+": "+f.Reason)
	}
	return textutil.Line("imagefit: no node of the cluster fits: "+strings.Join(parts, "; "), maxMessage)
}
