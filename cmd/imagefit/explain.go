package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/description"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/selector"
)

// Exit codes of explain and check.
const (
	exitNoneFits    = 3
	exitOnlyUnknown = 4
)

// explainCommand shows how a pull of an image would be decided.
type explainCommand struct {
	facts  string
	trace  bool
	output cli.Output
}

func newExplainCommand() *cobra.Command {
	var c explainCommand
	cmd := &cobra.Command{
		Use:   "explain IMAGE",
		Short: "Show which variant of an image a node would run, and why",
		Long: `Explain decides as cri-proxy does: it reads the index of the image and the
compatibility artifacts of its variants, evaluates them on the facts of a node
and prints the choice and every entry: each candidate with its requirements and
what the node has, and of the others why they are not candidates. Nothing is
pulled. Registries are reached as on this node (hosts.toml), with the credentials
of your container tools (docker login, podman login). With --trace each request is
printed to stderr: when it began, how long it took, status, bytes and URL, no
credentials.

Exit code 0: a candidate fits; 3: none fits, or no entry is for this node; 4: none
is known to fit, some may; 1: error.`,
		Example: `  imagefit explain registry.example/app:1
  imagefit explain registry.example/app:1 --facts node-1.json
  imagefit explain registry.example/app:1 --trace
  imagefit explain registry.example/app:1 -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd, args[0]) },
	}
	factsFlag(cmd, &c.facts)
	cmd.Flags().BoolVar(&c.trace, "trace", false, "print the requests to registries, with times, to stderr")
	c.output.AddFlag(cmd, cli.Text, cli.JSON)
	cmd.Flags().Bool("all", false, "does nothing: all entries are shown")
	_ = cmd.Flags().MarkHidden("all") // it exists
	return cmd
}

func factsFlag(cmd *cobra.Command, facts *string) {
	cmd.Flags().StringVar(facts, "facts", live,
		`the node's facts: a file of "imagefit facts -o json", of "nfd export features" or with NodeFeature objects (FILE#NODE `+
			`takes one), a snapshot, a directory, "-" for stdin, or "live" for this node`)
	cmd.Flags().String("arch", "", "architecture of the node, if its facts do not tell it: "+strings.Join(architectures(), ", "))
	cli.Complete(cmd, "arch", architectures()...)
}

func architectures() []string {
	return []string{"amd64", "arm64", "arm", "386", "ppc64le", "ppc64", "s390x", "riscv64", "loong64"}
}

// nodeOf loads what the flags of factsFlag name.
func nodeOf(cmd *cobra.Command, name string) (*facts.Facts, error) {
	arch, err := archOf(cmd)
	if err != nil {
		return nil, err
	}
	loader, err := newFactsLoader(cmd, arch)
	if err != nil {
		return nil, err
	}
	return loader.load(cmd.Context(), name)
}

// archOf returns the value of --arch, which may be empty.
func archOf(cmd *cobra.Command) (string, error) {
	arch, err := cmd.Flags().GetString("arch")
	if err != nil || arch == "" {
		return "", err
	}
	return arch, cli.Check("arch", arch, architectures())
}

func (c explainCommand) run(cmd *cobra.Command, image string) error {
	cfg, err := cli.LoadUserConfig(cmd)
	if err != nil {
		return err
	}
	known, err := nodeOf(cmd, c.facts)
	if err != nil {
		return fmt.Errorf("read --facts: %w", err)
	}
	if known.Arch() == "" {
		return errors.New("the facts do not tell the architecture of the node, which decides about the entries of an index: give it with --arch")
	}
	trace := newTrace(cmd.ErrOrStderr(), c.trace)
	told := tellRegistry(cmd, image)
	d, err := explain(cmd.Context(), trace, cfg, known, c.facts == live, image)
	told()
	if err != nil {
		trace.printSteps()
		return instead(cfg, image, err)
	}
	e := explained{Decision: d, Mode: cfg.Policy.For(d.Repository).Mode}
	e.Action, e.ReasonCode, e.Because = d.Action(cfg.Policy.For(d.Repository))
	if err := c.output.Print(cmd, e, e.print); err != nil {
		return err
	}
	return exitOf(d.Outcome())
}

// tellRegistry tells that a registry is being asked, until what it returns is called.
func tellRegistry(cmd *cobra.Command, image string) (stop func()) {
	return cli.Progress(cmd.ErrOrStderr(), func() string { return "asking the registry of " + printable(image) })
}

// instead adds to an error what a pull would do where nothing can be decided.
func instead(cfg config.Config, image string, err error) error {
	repository := decision.RepositoryOf(image)
	if e, _ := errors.AsType[*registry.Error](err); repository == "" || e == nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	answers := cfg.Policy.For(repository)
	u := decision.Undecide(image, err, answers)
	follows := "forwarded to the runtime unchanged"
	if u.Action == policy.Refused && (policy.Effective{Answers: answers}).Enforced() {
		follows = "refused (policy.registry_error)"
	}
	return fmt.Errorf("%w: a pull would be %s", err, follows)
}

// exitOf turns an outcome into the exit code.
func exitOf(o selector.Outcome) error {
	switch o {
	case selector.Fits:
		return nil
	case selector.Unknown:
		return cli.ExitError(exitOnlyUnknown)
	default:
		return cli.ExitError(exitNoneFits)
	}
}

// explained is a decision and what the node's policy makes of it.
type explained struct {
	*decision.Decision
	Action     policy.Action `json:"action"`
	ReasonCode policy.Reason `json:"reason_code"`
	Because    string        `json:"because"`
	Mode       string        `json:"mode"`
}

func (e explained) print(b *cli.Console) {
	first := "best"
	if e.Action == policy.Pulled && e.Mode != policy.Audit {
		first = "chosen"
	}
	printDecision(b, e.Decision, first)
	if e.Because != e.Reason {
		b.WriteString(b.Paragraph(e.Because))
	}
	if e.Mode == policy.Audit && e.Action != policy.Forwarded || e.Mode == policy.Warn && e.Action == policy.Refused {
		fmt.Fprintf(b, "The mode here is %s: the pull would be forwarded unchanged, not %s.\n", e.Mode, e.Action)
	}
}

// printDecision prints all entries of an index in their order: of each candidate a
// row for each requirement, of the others what they are. The word is for the first in rank.
func printDecision(b *cli.Console, d *decision.Decision, first string) {
	table := b.Table()
	if len(d.Candidates)+len(d.Others) > 0 {
		fmt.Fprintln(table, "ENTRY\tVERDICT\tRANK\tWANT\tHAVE")
	}
	d.Entries(func(i int) { printCandidate(b, table, d.Candidates[i], d.Label(i), first) }, func(o decision.Other) {
		fmt.Fprintf(table, "%s\t%s\t-\t\t\n", o.Label(), o.Reason)
	})
	table.Flush()
	printDescribed(&b.Builder, d)
	printTrust(&b.Builder, d)
	printPriorities(&b.Builder, d)
	b.WriteString("\n" + b.Paragraph(strings.TrimSpace(d.Reason)))
}

// printDescribed prints which files of the operator speak of the candidates.
func printDescribed(b *strings.Builder, d *decision.Decision) {
	place := map[description.Place]string{
		description.After: "adds to what the author states", description.Before: "goes before what the author states",
		description.Instead: "replaces what the author states",
	}
	var lines []string
	for _, c := range d.Candidates {
		for _, by := range c.Described {
			line := by.Origin + " " + place[by.Place]
			if by.Source != "" {
				line += " (source: " + by.Source + ")"
			}
			if !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
		}
	}
	if len(lines) > 0 {
		fmt.Fprintf(b, "\n%s\n", strings.Join(lines, "\n"))
	}
}

// printTrust prints who signed what the candidates state, where signatures are needed.
func printTrust(b *strings.Builder, d *decision.Decision) {
	var lines []string
	add := func(format string, args ...any) {
		if line := fmt.Sprintf(format, args...); !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	for i, c := range d.Candidates {
		for _, a := range c.Artifacts {
			if a.Signer != nil {
				add("%s: %s signed by %s", d.Label(i), cmp.Or(a.Manifest, a.Layer), printable(a.Signer.Name))
			}
			if a.Kept != "" {
				add("%s: %s of an earlier pull: %s", d.Label(i), cmp.Or(a.Manifest, a.Layer), a.Kept)
			}
		}
		for _, ignored := range c.Ignored {
			add("%s: %s: ignored", d.Label(i), strings.TrimSpace(ignored.Artifact.String()+" "+ignored.Why))
		}
	}
	if len(lines) > 0 {
		fmt.Fprintf(b, "\n%s\n", strings.Join(lines, "\n"))
	}
}

// printPriorities prints the order that the author wants, and what each candidate has
// of it.
func printPriorities(b *strings.Builder, d *decision.Decision) {
	p := d.Priorities
	switch {
	case p == nil:
		return
	case p.Problem != "":
		fmt.Fprintf(b, "\nThe author's priorities cannot be read and do not matter: %s\n", p.Problem)
		return
	}
	fmt.Fprintf(b, "\nThe author prefers, in this order: %s\n", strings.Join(p.Properties, ", "))
	for i, c := range d.Candidates {
		has := "none of these"
		if len(c.Properties) > 0 {
			has = strings.Join(c.Properties, ", ")
		}
		fmt.Fprintf(b, "  %s has %s\n", d.Label(i), has)
	}
}

func printCandidate(b *cli.Console, w io.Writer, c decision.Candidate, label, first string) {
	rank := "-"
	switch {
	case c.Rank == 1:
		rank = b.Paint(cli.Strong, "1, "+first)
		label = b.Paint(cli.Strong, label)
	case c.Rank > 0:
		rank = fmt.Sprint(c.Rank)
	}
	cells := fmt.Sprintf("%s\t%s\t%s", label, b.Paint(styleOf(c.Outcome.String()), c.Outcome.String()), rank)
	if len(c.Requirements) == 0 {
		fmt.Fprintf(w, "%s\tnothing\t\n", cells)
	}
	for _, r := range c.Requirements {
		want := strings.Repeat("  ", r.Depth) + r.Want
		if r.Importance != compat.Required.String() {
			want += " [" + r.Importance + "]"
		}
		if r.Origin != "" {
			want += " [" + r.Origin + "]"
		}
		have := r.Have
		if r.Depth == 0 && r.Outcome == selector.Unfit && r.Importance == compat.Required.String() {
			have = b.Paint(cli.Bad, have+", "+r.Outcome.String())
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", cells, want, have)
		cells = "\t\t"
	}
}
