package placement

import (
	"context"
	"runtime"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/nodeclass"
	"github.com/imagefit/imagefit/pkg/selector"
)

// Verdict is what becomes of an image, or of all images of a pod, on the nodes of a class.
type Verdict struct {
	Outcome selector.Outcome `json:"outcome"`
	// Digest and Platform are those of the variant that the nodes run; empty where none
	// fits, and for a pod of several images.
	Digest   digest.Digest `json:"digest,omitempty"`
	Platform string        `json:"platform,omitempty"`
	// Rank orders the classes: 1 runs the best variant of all, and classes on which as
	// good a one runs have the same rank. What was built for more of a CPU is better than
	// another variant for the same architecture only. It is 0 where none fits.
	Rank   int    `json:"rank,omitempty"`
	Reason string `json:"reason"` // as a pull on a node of the class states it
}

// Row is an image on all classes.
type Row struct {
	Reference string        `json:"reference"` // as the runtime normalises it
	Index     digest.Digest `json:"index"`     // the index or manifest
	Verdicts  []Verdict     `json:"verdicts"`  // in the order of the classes
}

// Evaluator evaluates images on classes of nodes, by one state of the rules.
type Evaluator struct {
	decisions *decision.Evaluator
	rules     *decision.Rules
}

// New returns an Evaluator. The facts of the decision evaluator do not matter.
func New(e *decision.Evaluator, rules *decision.Rules) *Evaluator { return &Evaluator{e, rules} }

// Dimensions returns the facts that the images ask for beyond those that every class
// has. Classes that lack one of them leave images that ask for it unknown.
func (e *Evaluator) Dimensions(ctx context.Context, images ...*decision.Needs) nodeclass.Dimensions {
	d := nodeclass.Dimensions{}
	asker := e.decisions.Asker(e.rules, func(reqs []compat.Requirement) { d.Add(reqs) })
	for _, n := range images {
		asker.Ask(ctx, n)
	}
	return d
}

// Match evaluates each image on each class, with as many goroutines as there are
// processors. The rows are in the order of the images. The error is that of the context.
func (e *Evaluator) Match(ctx context.Context, images []*decision.Needs, classes []nodeclass.Class) ([]Row, error) {
	rows, quality := make([]Row, len(images)), make([][]selector.Candidate, len(images))
	for i, n := range images {
		rows[i] = Row{Reference: n.Reference, Index: n.Top.Digest, Verdicts: make([]Verdict, len(classes))}
		quality[i] = make([]selector.Candidate, len(classes))
	}
	sessions := e.decisions.Sessions(e.rules)
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range min(runtime.GOMAXPROCS(0), len(classes)) {
		group.Go(func() error {
			for {
				c := int(next.Add(1)) - 1
				if c >= len(classes) {
					return nil
				}
				session := sessions.On(classes[c].Facts)
				for i, n := range images {
					d, err := session.Decide(ctx, n)
					if err != nil {
						return err
					}
					rows[i].Verdicts[c], quality[i][c] = verdictOf(d, classes[c])
				}
			}
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for i := range rows {
		rankChoices(rows[i].Verdicts, quality[i], classes)
		shareReasons(rows[i].Verdicts)
	}
	return rows, nil
}

// untold is the reason where a class says nothing of platforms.
const untold = "the facts of the node do not tell its architecture"

// verdictOf returns the verdict of a decision, without a rank, and how good the choice is.
func verdictOf(d *decision.Decision, class nodeclass.Class) (Verdict, selector.Candidate) {
	if class.Facts.Arch() == "" && d.Index != "" {
		return Verdict{Outcome: selector.Unknown, Reason: untold}, selector.Candidate{}
	}
	v := Verdict{Outcome: d.Outcome(), Reason: d.Reason}
	if d.Choice == decision.None {
		return v, selector.Candidate{}
	}
	v.Digest, v.Platform = d.Candidates[d.Choice].Digest, d.Candidates[d.Choice].Platform
	quality := d.Ordered(d.Choice)
	quality.Verdict = selector.Verdict{
		Outcome: v.Outcome, Score: quality.Verdict.Score, Closeness: quality.Verdict.Closeness, Met: quality.Verdict.Met,
	}
	return v, quality
}

// shareReasons keeps equal sentences once: most classes have one of a few.
func shareReasons(verdicts []Verdict) {
	shared := map[string]string{}
	for i := range verdicts {
		reason := verdicts[i].Reason
		if known, ok := shared[reason]; ok {
			verdicts[i].Reason = known
		} else {
			shared[reason] = reason
		}
	}
}
