package criproxy

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/secret"
)

const (
	// maxByDigest bounds the variants that one pull tries by their digest, and maxTrying
	// how long after the first one another is begun. Then only the request as it came is
	// left.
	maxByDigest = 4
	maxTrying   = time.Minute
	// maxCause bounds what a record says of one variant that could not be pulled.
	maxCause = 250
)

// attempts are the attempts of one pull, which begin with the candidate that fits best.
// What the runtime takes by itself is pulled by the request as it came. That is also the
// last attempt, and where all fail its error is the answer.
type attempts struct {
	*pull
	plan      plan
	begun     time.Time
	byDigest  int       // attempts
	failures  []failure // the best candidate's first
	logged    int       // of the failures
	unchanged *outcome  // of the request as it came, where it failed
}

// failure is a candidate that fits and could not be pulled.
type failure struct {
	outcome
	again time.Time // when it is tried again, where it was an earlier pull that failed
}

// pullBest pulls the best candidate that can be pulled. It also reports whether the tag
// moved between the decision and the pull.
func (p *pull) pullBest(ctx context.Context, pl plan) (o outcome, moved bool) {
	a := &attempts{pull: p, plan: pl, begun: time.Now()}
	o, moved = a.run(ctx, p.unpullable)
	if o.err != nil && a.byDigest == 0 && a.unchanged == nil {
		// All that may run failed a while ago, and is better than nothing.
		a.failures = nil
		o, moved = a.run(ctx, newUnpullable())
	}
	if moved {
		return o, true
	}
	return a.finish(o), false
}

// run tries the candidates that fit, but for those that are known to be unpullable, and
// at last the request as it came.
func (a *attempts) run(ctx context.Context, known *unpullable) (o outcome, moved bool) {
	d := a.plan.decision
	for _, i := range d.Fitting() {
		earlier, isKnown := known.get(a.keyOf(i), a.snapshot.Rules)
		switch {
		case i == d.Default:
			o, moved = a.runtimeChoice(ctx)
		case isKnown:
			a.failures = append(a.failures, a.again(i, earlier))
			continue
		case a.byDigest == maxByDigest || time.Since(a.begun) > maxTrying:
			continue
		default:
			o = a.pull1(ctx, i)
		}
		if o.err == nil || o.next == nextNothing {
			return o, moved
		}
		a.failures = append(a.failures, failure{outcome: o})
		if o.next == nextUnchanged {
			break
		}
	}
	return a.last(ctx)
}

// again is the failure of a candidate that is not tried again yet.
func (a *attempts) again(i int, e earlierFailure) failure {
	return failure{again: e.until, outcome: outcome{
		plan: a.plan, action: policy.Failed, candidate: i, next: nextCandidate,
		err: status.Errorf(codes.Unknown, "%s", e.cause),
	}}
}

// pull1 tries one candidate by its digest.
func (a *attempts) pull1(ctx context.Context, i int) outcome {
	a.logFailures()
	a.byDigest++
	return a.pullCandidate(ctx, a.plan, i)
}

// runtimeChoice forwards the pull, of which the runtime takes the candidate by itself,
// and makes sure that it did. It also reports whether the tag moved meanwhile.
func (a *attempts) runtimeChoice(ctx context.Context) (o outcome, moved bool) {
	d := a.plan.decision
	a.logFailures()
	o = a.forward(ctx, a.plan)
	switch {
	case o.err != nil:
		unchanged := o
		a.unchanged, o.candidate = &unchanged, d.Default
	case o.unsure:
	case o.candidate == decision.None:
		return o, true
	case o.candidate != d.Default:
		a.log.Warn("the runtime pulled another variant than expected, pulling the chosen one",
			"pulled", d.Label(o.candidate), "choice", d.Label(d.Default))
		o.answer.Message.Free()
		return a.pull1(ctx, d.Default), false
	case o.candidate == d.Choice:
		o.action = policy.Pulled
	}
	return o, false
}

// last forwards the pull after everything else, where what the runtime takes may run.
func (a *attempts) last(ctx context.Context) (o outcome, moved bool) {
	if a.unchanged != nil {
		return *a.unchanged, false
	}
	d, best := a.plan.decision, a.failures[0].outcome
	if d.Default == decision.None || !a.mayRun(d.Default) {
		return best, false
	}
	a.logFailures()
	o = a.forward(ctx, a.plan)
	switch {
	case o.err != nil:
		a.unchanged = &o
	case o.unsure:
	case o.candidate == decision.None:
		return o, true
	case !a.mayRun(o.candidate):
		o.answer.Message.Free()
		return best, false
	}
	return o, false
}

// mayRun reports whether a candidate may run though it is not what was chosen.
func (a *attempts) mayRun(i int) bool {
	return a.plan.decision.Candidates[i].Rank > 0 || !a.policy.Enforced() || a.policy.NoFit == policy.Forward
}

// logFailures logs what failed, before another attempt.
func (a *attempts) logFailures() {
	for ; a.logged < len(a.failures); a.logged++ {
		if f := a.failures[a.logged]; f.again.IsZero() {
			a.log.Warn("cannot pull a variant that fits, trying another",
				"variant", a.plan.decision.Label(f.candidate), "error", f.err)
		}
	}
}

// finish makes the outcome say what failed, and remembers that where something else was
// pulled. Where nothing was, it is hardly the variants' fault.
func (a *attempts) finish(o outcome) outcome {
	if len(a.failures) == 0 {
		return o
	}
	d := a.plan.decision
	var words strings.Builder
	words.WriteString(a.plan.reason)
	for _, f := range a.failures {
		fmt.Fprintf(&words, "; %s cannot be pulled: %s", d.Label(f.candidate), causeOf(f.err))
		switch {
		case !f.again.IsZero():
			fmt.Fprintf(&words, " (not tried again before %s)", f.again.UTC().Format(time.RFC3339))
		case o.err == nil && f.next == nextCandidate:
			a.unpullable.put(a.keyOf(f.candidate), a.snapshot.Rules, causeOf(f.err))
		}
	}
	o.plan.reason = decision.Line(words.String())
	if o.err == nil {
		o.insteadOf = d.Label(a.failures[0].candidate)
	} else if a.byDigest > 0 && o.action == policy.Forwarded {
		o.action, o.candidate = policy.Failed, d.Choice
	}
	return o
}

// pulledImage and longDigest are what a record has already, or too long, of the runtime's words.
var (
	pulledImage = regexp.MustCompile("^" + failedToPull + ` and unpack image "[^"]*": `)
	longDigest  = regexp.MustCompile(`(sha256:[0-9a-f]{12})[0-9a-f]{52}`)
)

// causeOf is what a record says of an error: the end of it where it is long, since that
// is where the runtime has the registry's answer.
func causeOf(err error) string {
	text := pulledImage.ReplaceAllString(secret.Strip(status.Convert(err).Message()), "")
	text = textutil.Line(text[max(0, len(text)-8*maxCause):], 16*maxCause) // lines are set off by two bytes
	text = longDigest.ReplaceAllString(text, "$1")
	if len(text) <= maxCause {
		return text
	}
	_, text, _ = strings.Cut(text[len(text)-maxCause:], " ") // whole words, and so whole characters
	return textutil.Ellipsis + text
}

// next is what is tried after a failed attempt.
type next int

const (
	nextNothing   next = iota // the client, the node or the runtime failed
	nextCandidate             // the candidate that fits next
	nextUnchanged             // the request as it came
)

// failedToPull is how containerd begins what it says of a registry's answer and of what
// it cannot unpack.
const failedToPull = "failed to pull"

// after is what is tried after the runtime answered a pull with an error: nothing where
// no other request would fare better.
func after(ctx context.Context, err error) next {
	message := status.Convert(err).Message()
	isPull := strings.HasPrefix(message, failedToPull)
	switch code := status.Code(err); {
	case ctx.Err() != nil, code == codes.DeadlineExceeded && expires(ctx): // the runtime has the same deadline
		return nextNothing
	case code == codes.Unavailable && !isPull, code == codes.Unimplemented: // the runtime is away
		return nextNothing
	case code == codes.ResourceExhausted && !isPull,
		strings.Contains(message, "no space left"), strings.Contains(message, "disk quota exceeded"):
		return nextNothing
	}
	return nextCandidate
}

// expires reports whether the deadline of a call is about to pass.
func expires(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) < time.Second
}
