package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"

	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/wiring"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/containerd"
	"github.com/imagefit/imagefit/pkg/decision"
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
	output cli.Output
	all    bool
}

func newExplainCommand() *cobra.Command {
	var c explainCommand
	cmd := &cobra.Command{
		Use:   "explain IMAGE",
		Short: "Show which variant of an image a node would run, and why",
		Long: `Explain decides as cri-proxy does: it reads the index of the image and the
compatibility artifacts of its variants, evaluates them on the facts of a node
and prints every candidate with its requirements and what the node has, and the
choice. Nothing is pulled. Registries are reached as on this node (hosts.toml),
with the credentials of your container tools (docker login).

Exit code 0: a candidate fits; 3: none fits; 4: none is known to fit, some may;
1: error.`,
		Example: `  imagefit explain registry.example/app:1
  imagefit explain registry.example/app:1 --facts node-1.json
  imagefit explain registry.example/app:1 -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd, args[0]) },
	}
	factsFlag(cmd, &c.facts)
	c.output.AddFlag(cmd, cli.Text, cli.JSON)
	cmd.Flags().BoolVar(&c.all, "all", false, "also show the entries for other platforms")
	return cmd
}

func factsFlag(cmd *cobra.Command, facts *string) {
	cmd.Flags().StringVar(facts, "facts", "live",
		`the node's facts: a file of "imagefit facts -o json", of "nfd export features" or with NodeFeature objects (FILE#NODE `+
			`takes one), a snapshot, a directory, "-" for stdin, or "live" for this node`)
}

func (c explainCommand) run(cmd *cobra.Command, image string) error {
	cfg, err := cli.LoadUserConfig(cmd)
	if err != nil {
		return err
	}
	facts, err := loadFacts(cmd.Context(), c.facts, cmd.InOrStdin())
	if err != nil {
		return fmt.Errorf("read --facts: %w", err)
	}
	d, err := explain(cmd.Context(), cmd.ErrOrStderr(), cfg, facts, c.facts == "live", image)
	if err != nil {
		return err
	}
	e := explained{Decision: d, Mode: cfg.Policy.For(d.Repository).Mode}
	e.Action, e.Because = d.Action(cfg.Policy.For(d.Repository))
	err = c.output.Print(cmd.OutOrStdout(), e, func(w io.Writer) error { return e.print(w, c.all) })
	if err != nil {
		return err
	}
	return outcomeOf(d)
}

func explain(ctx context.Context, stderr io.Writer, cfg config.Config, known *facts.Facts, live bool, image string) (*decision.Decision, error) {
	// What is wrong with an artifact is in the table; this is for what is
	// wrong here, such as a compatibility spec that cannot be used.
	log := cli.NewLogger(stderr, config.Text, slog.LevelError)
	auth, err := dockerAuth(ctx, image)
	if err != nil {
		return nil, err
	}
	runtime := runtimeSettings(cfg, log)
	var unpacks func(ocispec.Platform) bool
	if live {
		unpacks = runtime.WillUnpack
	}
	evaluator, err := wiring.Evaluator(cfg, known, unpacks, log)
	if err != nil {
		return nil, err
	}
	reg := registry.New(registry.Options{
		HostsPath: cfg.Registry.HostsPath(runtime.HostsPath, runtime.HostsKnown), UserAgent: registry.UserAgent(cli.BuildVersion(version)), Log: log,
	})
	defer reg.Close()
	req := decision.Request{Reference: image, Auth: auth, Snapshot: evaluator.Snapshot()}
	return decision.NewResolver(evaluator, reg).Decide(ctx, req)
}

// runtimeSettings are those of the file: the tool asks no runtime.
func runtimeSettings(cfg config.Config, log *slog.Logger) containerd.Settings {
	settings, err := containerd.Read(cfg.Runtime.Config)
	if err != nil {
		log.Error("cannot read the runtime's configuration completely", "file", cfg.Runtime.Config, "error", err)
	}
	return settings
}

// dockerAuth returns the credentials that the person's container tools hold for
// the image's registry, or nil.
func dockerAuth(ctx context.Context, image string) (*registry.Auth, error) {
	named, err := reference.ParseDockerRef(image)
	if err != nil {
		return nil, fmt.Errorf("read reference %q: %w", image, err)
	}
	store, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
	if err != nil {
		return nil, fmt.Errorf("read the credentials of docker: %w", err)
	}
	return registry.AuthFrom(ctx, store, named)
}

// outcomeOf turns a decision into the exit code.
func outcomeOf(d *decision.Decision) error {
	switch {
	case d.NothingToChoose():
		return errors.New(d.Reason)
	case d.Choice == decision.None:
		return cli.ExitError(exitNoneFits)
	case d.Candidates[d.Choice].Outcome != selector.Fits:
		return cli.ExitError(exitOnlyUnknown)
	default:
		return nil
	}
}

// explained is a decision and what the node's policy makes of it.
type explained struct {
	*decision.Decision
	Action  policy.Action `json:"action"`
	Because string        `json:"because"`
	Mode    string        `json:"mode"`
}

func (e explained) print(w io.Writer, all bool) error {
	if err := printDecision(w, e.Decision, all); err != nil {
		return err
	}
	if e.Because != e.Reason {
		if _, err := fmt.Fprintln(w, e.Because); err != nil {
			return err
		}
	}
	if e.Mode != policy.Audit || e.Action == policy.Forwarded {
		return nil
	}
	_, err := fmt.Fprintf(w, "The mode here is audit: the pull would be forwarded unchanged, not %s.\n", e.Action)
	return err
}

// printDecision prints one row for each requirement of each candidate.
func printDecision(w io.Writer, d *decision.Decision, all bool) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "CANDIDATE\tVERDICT\tRANK\tWANT\tHAVE")
	for i, c := range d.Candidates {
		rank := "-"
		if c.Rank > 0 {
			rank = fmt.Sprint(c.Rank)
		}
		cells := fmt.Sprintf("%s\t%s\t%s", d.Label(i), c.Outcome, rank)
		if len(c.Requirements) == 0 {
			fmt.Fprintf(table, "%s\tnothing\t\n", cells)
		}
		for _, r := range c.Requirements {
			fmt.Fprintf(table, "%s\t%s\t%s\n", cells, wanted(r), r.Have)
			cells = "\t\t"
		}
	}
	if all {
		for _, platform := range d.Others {
			fmt.Fprintf(table, "%s\tnot for this node\t-\t\t\n", platform)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", strings.TrimSpace(d.Reason))
	return err
}

func wanted(r decision.RequirementResult) string {
	want := strings.Repeat("  ", r.Depth) + r.Want
	if r.Importance == compat.Required.String() {
		return want
	}
	return want + " [" + r.Importance + "]"
}
