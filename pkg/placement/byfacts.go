package placement

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/nodeclass"
)

// Job is what is known of the images of a job.
type Job struct {
	Images  []*decision.Needs
	Rows    []Row // of the images, on the classes
	Classes []nodeclass.Class
	Answer  Answer
	Tokens  Tokens // of the classes
}

// ByFacts returns what a node must have for the job in words of the facts, for all nodes
// where the images can run, or only those of the best variants. It agrees with the
// verdict on every class; where that cannot be, the error says why.
func (e *Evaluator) ByFacts(ctx context.Context, job Job, best bool) (Expression, error) {
	wanted := job.Answer.Usable
	if best {
		wanted = job.Answer.Best
	}
	if len(wanted) == 0 {
		return AnyOf(nil), nil
	}
	all := [][]condition{nil}
	for i, n := range job.Images {
		var chosen map[digest.Digest]bool
		if best {
			chosen = job.chosen(i, wanted)
		}
		alternatives, err := e.ofImage(ctx, n, chosen)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", n.Reference, err)
		}
		if all, err = both(all, alternatives); err != nil {
			return nil, err
		}
	}
	expression, missing := job.written(all)
	return expression, job.check(expression, wanted, missing)
}

// chosen are the variants of an image that run on classes.
func (j *Job) chosen(image int, ids []string) map[digest.Digest]bool {
	chosen := map[digest.Digest]bool{}
	for c, v := range j.Rows[image].Verdicts {
		if slices.Contains(ids, j.Classes[c].ID) {
			chosen[v.Digest] = true
		}
	}
	return chosen
}

// ofImage returns the alternatives of an image: its variants, or those that are chosen.
func (e *Evaluator) ofImage(ctx context.Context, n *decision.Needs, chosen map[digest.Digest]bool) ([][]condition, error) {
	var union [][]condition
	for _, v := range e.decisions.Required(ctx, e.rules, n) {
		if chosen != nil && !chosen[v.Digest] {
			continue
		}
		var own []condition
		if v.Platform != nil {
			c, err := ofPlatform(*v.Platform)
			if err != nil {
				return nil, err
			}
			own = append(own, c)
		}
		alternatives, err := allOf(v.Requirements, func(condition) {})
		if err != nil {
			return nil, err
		}
		if alternatives, err = both([][]condition{own}, alternatives); err != nil {
			return nil, err
		}
		union = append(union, alternatives...)
	}
	return simplified(union)
}

// written writes the alternatives that some class has all tokens of: schedulers refuse
// tokens that no node has. It returns one that is missing, too.
func (j *Job) written(alternatives [][]condition) (e Expression, missing string) {
	there := j.Tokens.all()
	for _, all := range alternatives {
		tokens := make([]string, len(all))
		lacks := ""
		for i, c := range all {
			if tokens[i] = c.token; !there[c.token] {
				lacks = c.token
			}
		}
		if slices.Sort(tokens); lacks == "" && len(tokens) > 0 {
			e = append(e, tokens)
		}
		missing = cmp.Or(missing, lacks)
	}
	slices.SortFunc(e, slices.Compare[[]string])
	return e.orNone(), missing
}

// check compares the expression with the verdicts on all classes.
func (j *Job) check(e Expression, wanted []string, missing string) error {
	var differ []string
	for _, class := range j.Classes {
		if e.Holds(j.Tokens[class.ID]) != slices.Contains(wanted, class.ID) {
			differ = append(differ, class.ID)
		}
	}
	switch {
	case len(differ) == 0:
		return nil
	case missing != "":
		return fmt.Errorf("no node has the token %s: export the nodes by facts with this image among --images", missing)
	case len(differ) > 3:
		differ = append(differ[:3], "and others")
	}
	return errors.New("the tokens of the facts do not tell apart where it runs: " + strings.Join(differ, ", "))
}
