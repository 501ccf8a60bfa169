package main

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/policy"
)

// How what a pull would choose today differs from what is on the node.
const (
	todaySame    = "same"
	todayNewer   = "newer"
	todayOther   = "other"
	todayNone    = "none"
	todayUnknown = "unknown"
)

// today is what a pull of a name would choose now.
type today struct {
	Outcome  string        `json:"outcome"`
	Variant  string        `json:"variant,omitempty"`
	Manifest digest.Digest `json:"manifest,omitempty"`
	Reason   string        `json:"reason"`
}

// line is for the table.
func (t today) line() string {
	switch t.Outcome {
	case todaySame:
		return t.Outcome
	case todayNewer, todayOther:
		return t.Outcome + ": " + t.Variant + " " + shortDigest(t.Manifest)
	}
	return t.Outcome + ": " + t.Reason
}

// checkImages resolves each name again. One that cannot be resolved is unknown.
func checkImages(ctx context.Context, cfg config.Config, stderr io.Writer, all []nodeImage) error {
	cfg, err := cli.UserConfig(cfg)
	if err != nil {
		return err
	}
	known, err := liveFacts(ctx, cfg)
	if err != nil {
		return err
	}
	e, err := newExplainer(newTrace(stderr, false), cfg, known, true)
	if err != nil {
		return err
	}
	defer e.registry.Close()
	asked := new(atomic.Int64)
	defer tellImages(stderr, asked, len(all))()
	for n, image := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		t := today{Outcome: todayUnknown}
		if d, err := e.decide(ctx, image.Name); err != nil {
			t.Reason = decision.Line(err.Error())
		} else {
			t = image.compare(d, cfg.Policy.For(d.Repository))
		}
		all[n].Today = &t
		asked.Add(1)
	}
	return nil
}

// compare compares the image with what a pull would choose by a decision, in mode audit
// as in mode enforce. What is forwarded is the runtime's choice.
func (i nodeImage) compare(d *decision.Decision, answers policy.Answers) today {
	action, _, because := d.Action(answers)
	choice := d.Choice
	if action == policy.Forwarded {
		choice = d.Default
	}
	t := today{Outcome: todayUnknown, Reason: because}
	switch {
	case action == policy.Refused:
		t.Outcome = todayNone
		return t
	case choice == decision.None:
		return t
	}
	chosen := d.Candidates[choice]
	t.Variant, t.Manifest = d.Label(choice), chosen.Digest
	platform, _, _ := strings.Cut(i.Variant, "@")
	switch {
	case chosen.Digest == i.Manifest:
		t.Outcome = todaySame
	case i.Manifest == "":
		t.Reason = "which manifest is on the node is not known"
	case slices.ContainsFunc(d.Candidates, func(c decision.Candidate) bool { return c.Digest == i.Manifest }):
		t.Outcome = todayOther
	case platform == "":
		t.Reason = "the registry has another image, and the platform of the one on the node is not known"
	case platform == chosen.Platform:
		t.Outcome = todayNewer
	default:
		t.Outcome = todayOther
	}
	return t
}

// exitOfChecks turns what --check found into the exit code.
func exitOfChecks(all []nodeImage) error {
	var unknown error
	for _, i := range all {
		switch {
		case i.Today == nil:
		case i.Today.Outcome == todayOther, i.Today.Outcome == todayNone:
			return cli.ExitError(exitNoneFits)
		case i.Today.Outcome == todayUnknown:
			unknown = cli.ExitError(exitOnlyUnknown)
		}
	}
	return unknown
}
