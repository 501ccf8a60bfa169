package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/author/attach"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
)

// attach pushes what is planned. What fails does not keep the rest from being attached.
func (p *publishing) attach(ctx context.Context) {
	for _, item := range p.plan {
		if item.body == nil {
			continue
		}
		if err := p.push(ctx, item); err != nil {
			item.Error = err.Error()
		}
	}
}

func (p *publishing) push(ctx context.Context, item *planned) error {
	there, err := attach.Attached(ctx, item.at.repo, item.subject, p.reader.interpreter)
	if err != nil {
		return err
	}
	packed, err := attach.Pack(*item.body, item.subject, there.After(item.body.Kind(), time.Now()))
	if err != nil {
		return err
	}
	target := attach.NewTarget(item.at.named, item.at.auth, registry.UserAgent(cli.BuildVersion(version)))
	defer target.Close()
	p.step(fmt.Sprintf("attach to %s, %s", item.Image, item.Variant))
	if err := target.Push(ctx, packed, func(string) {}); err != nil {
		return err
	}
	item.Digest = packed.Descriptor.Digest
	if !p.replace {
		return nil
	}
	old := there.OfType(referrers.Kind{Artifact: item.body.ArtifactType, Layer: item.body.LayerType})
	replaced, err := target.Replace(ctx, item.at.repo, item.subject, old, func(string) {})
	item.Replaced = &replaced
	return err
}

// planText is the plan for people.
func planText(plan []*planned) string {
	var b strings.Builder
	b.WriteString("\nplan:\n")
	for _, item := range plan {
		fmt.Fprintf(&b, "%s  %s  %s\n", item.Image, item.Variant, item.Subject)
		for _, need := range item.Needs {
			fmt.Fprintf(&b, "  needs %s\n", printable(need))
		}
		if item.Skipped != "" {
			fmt.Fprintf(&b, "  %s\n", item.Skipped)
		}
		for _, note := range item.Notes {
			fmt.Fprintf(&b, "  note: %s\n", printable(note))
		}
	}
	b.WriteString("\n")
	return b.String()
}

// printSummary prints what became of each item of the plan.
func printSummary(b *cli.Console, plan []*planned, dryRun bool) {
	table := b.Table()
	attached, skipped, failed := 0, 0, 0
	for _, item := range plan {
		outcome := item.Digest.String()
		switch {
		case item.Error != "":
			outcome, failed = "error: "+printable(item.Error), failed+1
		case item.body == nil:
			outcome, skipped = item.Skipped, skipped+1
		case dryRun:
			outcome = "would be attached as " + item.body.Dialect.Name
		default:
			attached++
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", item.Image, item.Variant, outcome)
	}
	table.Flush()
	if !dryRun {
		fmt.Fprintf(b, "attached: %d, nothing to ask for: %d, failed: %d\n", attached, skipped, failed)
	}
}
