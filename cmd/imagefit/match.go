package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/nodeclass"
	"github.com/imagefit/imagefit/pkg/placement"
	"github.com/imagefit/imagefit/pkg/placement/flux"
	"github.com/imagefit/imagefit/pkg/placement/hostlist"
	"github.com/imagefit/imagefit/pkg/placement/slurm"
	"github.com/imagefit/imagefit/pkg/selector"
)

// The formats of match, beside JSON.
const (
	asTable           cli.Output = "table"
	asCSV             cli.Output = "csv"
	asHostlist        cli.Output = "hostlist"
	asSlurmConstraint cli.Output = "slurm-constraint"
	asSlurmPrefer     cli.Output = "slurm-prefer"
	asFluxConstraint  cli.Output = "flux-constraint"
	asFluxRequires    cli.Output = "flux-requires"
	asNodeAffinity    cli.Output = "nodeaffinity"
)

// matchCommand tells where images can run.
type matchCommand struct {
	nodes  nodesFlags
	needs  needsFlags
	images string
	strict bool
	by     by
	output cli.Output
}

// by is what tokens stand for.
type by string

const (
	byClass by = "class"
	byFacts by = "facts"
)

func (b *by) add(cmd *cobra.Command, usage string) {
	*b = byClass
	cli.OneOf(cmd, b, "by", "", usage, []by{byClass, byFacts})
}

func newMatchCommand() *cobra.Command {
	var c matchCommand
	cmd := &cobra.Command{
		Use:   "match [IMAGE...]",
		Short: "Show on which nodes images can run, before anything is pulled",
		Long: `Match evaluates images on many nodes as a pull on each of them would. The nodes
are grouped in classes: those of one class are alike in all that images ask for.
Each image is read from its registry once, or with --catalog from a catalog of
"imagefit catalog", as of its last sync; nothing is pulled.

The table, JSON and CSV list each image on each class, with the variant that its
nodes run and the rank of the class: 1 runs the best variant. The other formats
are for schedulers, and are about all images together, as of one job:
  hostlist          the nodes, as Slurm and Flux write them
  slurm-constraint  for sbatch --constraint: the classes, as features of nodes
  slurm-prefer      for sbatch --prefer: those of the best variant
  flux-constraint   for attributes.system.constraints of a jobspec (RFC 31)
  flux-requires     for flux run --requires (RFC 35)
  nodeaffinity      for spec.affinity of a pod, by the label ` + nodeclass.Label + `
With --by facts the formats of Slurm and Flux name facts in place of classes:
  imagefit_x86_64_v3&imagefit_kernel.version.full_ge_6.2
if the scheduler knows them by "imagefit export --by facts". What cannot be asked
for that way is asked for by class, and stderr says why.

Where it is unknown whether a class fits, it is among them, unless --strict is
given. Schedulers must know the classes by the same IDs: give "imagefit export"
and this command the same file of "imagefit export classes" with --nodes.

Exit code 0: each image fits some node, or for schedulers all of them fit one; 3:
none fits; 4: none is known to fit, some may; 1: error.`,
		Example: `  imagefit match registry.example/app:1 --nodes nodes/
  imagefit match registry.example/app:1 --nodes @k8s -o nodeaffinity
  imagefit match --catalog catalog.db --where 'name ~ "*lammps*"' --nodes nodes/
  sbatch -C "$(imagefit match registry.example/app:1 --nodes classes.json -o slurm-constraint)" job.sh`,
		RunE: c.run,
	}
	c.nodes.add(cmd)
	imagesFlag(cmd, &c.images)
	c.needs.add(cmd)
	c.by.add(cmd, "what the tokens of Slurm and Flux stand for")
	cmd.Flags().BoolVar(&c.strict, "strict", false, "for schedulers: leave out nodes of which it is unknown whether they fit")
	c.output.AddFlag(cmd, asTable, cli.JSON, asCSV, asHostlist, asSlurmConstraint, asSlurmPrefer, asFluxConstraint, asFluxRequires, asNodeAffinity)
	return cmd
}

// isList reports whether the output lists each image.
func (c *matchCommand) isList() bool {
	return c.output == asTable || c.output == cli.JSON || c.output == asCSV
}

// hasTokens reports whether the output is made of tokens.
func (c *matchCommand) hasTokens() bool {
	return c.output == asSlurmConstraint || c.output == asSlurmPrefer || c.output == asFluxConstraint || c.output == asFluxRequires
}

func (c *matchCommand) run(cmd *cobra.Command, args []string) error {
	if err := c.nodes.validate(); err != nil {
		return err
	}
	if c.by == byFacts && !c.hasTokens() {
		return fmt.Errorf("--by facts is about tokens of Slurm and Flux: there are none in -o %s", c.output)
	}
	list, err := references(cmd, args, c.images)
	if err != nil {
		return err
	}
	if len(list) == 0 && (c.images != "" || !c.needs.fromCatalog(cmd)) {
		return errors.New("which images? Name them, or give --images, or --catalog for those of a catalog")
	}
	if err := c.needs.validate(cmd, len(list) > 0); err != nil {
		return err
	}
	g, err := c.needs.open(cmd)
	if err != nil {
		return err
	}
	defer g.close()
	images, err := g.gather(cmd.Context(), list)
	if err != nil {
		return err
	}
	if err := firstError(images); err != nil && !c.isList() {
		return err
	}
	nodes, err := c.nodes.load(cmd, g.dimensionsOf(cmd.Context(), images))
	if err != nil {
		return err
	}
	rows, err := g.placement.Match(cmd.Context(), known(images), nodes.Classes)
	if err != nil {
		return err
	}
	if c.isList() {
		return c.list(cmd, images, rows, nodes)
	}
	return c.schedule(cmd, g, known(images), rows, nodes)
}

// list prints each image.
func (c *matchCommand) list(cmd *cobra.Command, images []gathered, rows []placement.Row, nodes *fleet) error {
	m := matrixOf(images, rows, nodes)
	if err := c.output.Print(cmd, m, func(b *cli.Console) {
		if c.output == asCSV {
			m.csv(b)
			return
		}
		m.table(b)
	}); err != nil {
		return err
	}
	if err := firstError(images); err != nil {
		return err
	}
	worst := selector.Fits
	for _, row := range rows {
		if o := placement.Outcome(row.Verdicts); o == selector.Unfit || o == selector.Unknown && worst == selector.Fits {
			worst = o
		}
	}
	return exitOf(worst)
}

// schedule prints where all images can run together, for a scheduler.
func (c *matchCommand) schedule(cmd *cobra.Command, g *gatherer, images []*decision.Needs, rows []placement.Row, nodes *fleet) error {
	verdicts := placement.Pod(rows)
	answer := placement.AnswerOf(verdicts, nodes.Classes, c.strict)
	var text string
	var err error
	if c.hasTokens() {
		text, err = c.tokens(cmd, g, placement.Job{Images: images, Rows: rows, Classes: nodes.Classes, Answer: answer}, nodes)
	} else {
		text, err = c.answer(answer, nodes)
	}
	if err != nil {
		return err
	}
	if text != "" {
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), text); err != nil {
			return err
		}
	}
	outcome := placement.Outcome(verdicts)
	if outcome != selector.Fits {
		for _, line := range reasons(verdicts, outcome) {
			cmd.PrintErrln("imagefit: " + line)
		}
	}
	return exitOf(outcome)
}

// tokens writes the answer in the tokens of a scheduler.
func (c *matchCommand) tokens(cmd *cobra.Command, g *gatherer, job placement.Job, nodes *fleet) (string, error) {
	best := c.output == asSlurmPrefer
	expression := placement.AnyOf(job.Answer.Usable)
	if best {
		expression = placement.AnyOf(job.Answer.Best)
	}
	if c.by == byFacts {
		nodes.addTokens(g.placement.Vocabulary(cmd.Context(), job.Images...))
		job.Tokens = nodes.Tokens
		if byFacts, err := g.placement.ByFacts(cmd.Context(), job, best); err == nil {
			expression = byFacts
		} else {
			cmd.PrintErrln("imagefit: asked for by class, not by facts: " + decision.Line(err.Error()))
		}
	}
	switch c.output {
	case asFluxRequires:
		return flux.Requires(expression), nil
	case asFluxConstraint:
		var b strings.Builder
		err := cli.WriteJSON(&b, flux.ConstraintOf(expression))
		return strings.TrimSpace(b.String()), err
	default:
		return slurm.Constraint(expression), nil
	}
}

// answer writes the answer in a format without tokens.
func (c *matchCommand) answer(a placement.Answer, nodes *fleet) (string, error) {
	if c.output == asHostlist {
		members := nodes.members()
		var names []string
		for _, id := range a.Usable {
			names = append(names, members[id]...)
		}
		return hostlist.Format(names), nil
	}
	var b strings.Builder
	err := nodeAffinity(&b, a, c.strict)
	return strings.TrimSpace(b.String()), err
}

// reasons are why images do not fit, each once.
func reasons(verdicts []placement.Verdict, outcome selector.Outcome) []string {
	const most = 8
	var lines []string
	seen := map[string]bool{}
	for _, v := range verdicts {
		reason := cmp.Or(v.Reason, outcome.String())
		if v.Outcome != outcome || seen[reason] {
			continue
		}
		seen[reason] = true
		if len(lines) == most {
			return append(lines, "and other reasons on other nodes")
		}
		lines = append(lines, reason)
	}
	return lines
}
