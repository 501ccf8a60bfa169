package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/nodeclass"
	"github.com/imagefit/imagefit/pkg/nodefeature"
	"github.com/imagefit/imagefit/pkg/placement"
	"github.com/imagefit/imagefit/pkg/placement/flux"
	"github.com/imagefit/imagefit/pkg/placement/hostlist"
	"github.com/imagefit/imagefit/pkg/placement/slurm"
)

// exportCommand tells schedulers the classes of nodes.
type exportCommand struct {
	nodes  nodesFlags
	needs  needsFlags
	images string

	by      by         // of classes, slurm and flux
	current string     // of slurm and flux
	format  cli.Output // of flux and kubernetes
	cores   int        // of flux
}

// The formats of export flux and export kubernetes.
const (
	asConfig      cli.Output = "config"
	asR           cli.Output = "R"
	asJGF         cli.Output = "jgf"
	asSetProperty cli.Output = "set-property"
	asLabels      cli.Output = "labels"
	asNodeFeature cli.Output = "nodefeature"
	asFeaturesD   cli.Output = "features.d"
)

func newExportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Tell schedulers the classes of nodes",
		Long: `Export groups nodes in classes, as match does, and writes them for a scheduler.
Export classes first, and give that file to all other commands with --nodes: then
the same node has the same class in all of them. With --images, or with all
images of a --catalog, the classes also differ in what those images ask for beyond
what every class has, such as a kernel module.`,
		Example: `  imagefit export classes --nodes nodes/ --images images.txt > classes.json
  imagefit export slurm --nodes classes.json --current @slurm | sh`,
	}
	return group(cmd, newExportClasses(), newExportSlurm(), newExportFlux(), newExportKubernetes())
}

// exporting completes a command that writes nodes.
func exporting(cmd *cobra.Command, c *exportCommand, export func(cmd *cobra.Command, nodes *fleet) error) *cobra.Command {
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		nodes, err := c.load(cmd)
		if err != nil {
			return err
		}
		return export(cmd, nodes)
	}
	c.nodes.add(cmd)
	imagesFlag(cmd, &c.images)
	c.needs.add(cmd)
	return cmd
}

// load reads the nodes, in the dimensions that the images ask for.
func (c *exportCommand) load(cmd *cobra.Command) (*fleet, error) {
	if err := c.nodes.validate(); err != nil {
		return nil, err
	}
	if err := c.needs.validate(cmd, c.images != ""); err != nil {
		return nil, err
	}
	asked, vocabulary, err := c.asked(cmd)
	if err != nil {
		return nil, err
	}
	nodes, err := c.nodes.load(cmd, asked)
	if err != nil {
		return nil, err
	}
	switch {
	case c.by == byFacts:
		if left := vocabulary.Left(); left > 0 {
			cmd.PrintErrf("imagefit: the images ask for %d more conditions than nodes get tokens for: match asks for these by class\n", left)
		}
		nodes.addTokens(vocabulary)
	case cmd.Flags().Changed("by"):
		nodes.Tokens = nil
	}
	return nodes, nil
}

// asked reads what the images ask for, if there are any.
func (c *exportCommand) asked(cmd *cobra.Command) (nodeclass.Dimensions, *placement.Vocabulary, error) {
	list, err := references(cmd, nil, c.images)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case len(list) == 0 && c.images != "":
		return nil, nil, errors.New("--images lists no image")
	case len(list) == 0 && !c.needs.fromCatalog(cmd):
		return nodeclass.Dimensions{}, placement.NewVocabulary(), nil
	}
	g, err := c.needs.open(cmd)
	if err != nil {
		return nil, nil, err
	}
	defer g.close()
	images, err := g.gather(cmd.Context(), list)
	if err == nil {
		err = firstError(images)
	}
	if err != nil {
		return nil, nil, err
	}
	return g.dimensionsOf(cmd.Context(), images), g.placement.Vocabulary(cmd.Context(), known(images)...), nil
}

func (c *exportCommand) byFlag(cmd *cobra.Command) {
	c.by.add(cmd, "what nodes get tokens for beside their class: with facts also for architectures, CPU targets, and what the images ask for")
}

func newExportClasses() *cobra.Command {
	var c exportCommand
	cmd := &cobra.Command{
		Use:     "classes",
		Short:   "Write the classes of nodes with their facts, for --nodes",
		Example: `  imagefit export classes --nodes nodes/ > classes.json`,
	}
	c.byFlag(cmd)
	return exporting(cmd, &c, func(cmd *cobra.Command, nodes *fleet) error { return cli.WriteJSON(cmd.OutOrStdout(), nodes) })
}

func newExportSlurm() *cobra.Command {
	var c exportCommand
	cmd := &cobra.Command{
		Use:   "slurm",
		Short: "Write the classes of nodes as features of Slurm",
		Long: `Slurm writes lines with the features of nodes, to merge into slurm.conf. With
--current it writes calls of scontrol for the nodes whose class is another one
than their features name. They take effect at once, and the other features of a
node stay.`,
		Example: `  imagefit export slurm --nodes classes.json
  imagefit export slurm --nodes classes.json --current @slurm | sh`,
	}
	exporting(cmd, &c, func(cmd *cobra.Command, nodes *fleet) error {
		if c.current == "" {
			printText(cmd, slurm.Features(nodes.members(), nodes.Tokens))
			return nil
		}
		r := newFleetReader(factsLoader{stdin: cmd.InOrStdin()}, nodeclass.Dimensions{})
		const want = `want what "scontrol show node --oneliner" prints`
		if err := r.read(cmd.Context(), c.current); err != nil {
			return fmt.Errorf("read --current %s: %w; "+want, c.current, err)
		}
		if len(r.slurm) == 0 {
			return fmt.Errorf("read --current %s: there are no nodes; "+want, c.current)
		}
		printText(cmd, slurm.Updates(r.slurm, nodes.Nodes, nodes.Tokens))
		return nil
	})
	c.byFlag(cmd)
	cmd.Flags().StringVar(&c.current, "current", "", `the nodes as Slurm knows them: a file with what "scontrol show node --oneliner" prints, "-" for stdin, or "@slurm"`)
	return cmd
}

func newExportFlux() *cobra.Command {
	var c exportCommand
	cmd := &cobra.Command{
		Use:   "flux",
		Short: "Write the classes of nodes as properties of Flux",
		Long: `Flux writes the classes as properties of nodes:
  config        [[resource.config]] tables, beside those that tell the cores
  R             a resource set (RFC 20) of whole nodes, for resource.path
  jgf           the graph that Fluxion reads, with a subsystem of classes
  set-property  calls that change a running instance`,
		Example: `  imagefit export flux --nodes classes.json >> /etc/flux/system/conf.d/imagefit.toml
  imagefit export flux --nodes classes.json --format jgf --cores 64`,
	}
	exporting(cmd, &c, c.flux)
	c.format = asConfig
	cli.OneOf(cmd, &c.format, "format", "", "format", []cli.Output{asConfig, asR, asJGF, asSetProperty})
	c.byFlag(cmd)
	cmd.Flags().StringVar(&c.current, "current", "", `with R and jgf: the resource set that tells the ranks, cores and GPUs of the nodes, a file with what "flux resource R" prints, or "-" for stdin`)
	cmd.Flags().IntVar(&c.cores, "cores", 1, "with R and jgf, without --current: the cores of each node")
	cmd.MarkFlagsMutuallyExclusive("current", "cores")
	return cmd
}

func (c *exportCommand) flux(cmd *cobra.Command, nodes *fleet) error {
	members := nodes.members()
	switch {
	case c.format != asR && c.format != asJGF && c.current != "":
		return fmt.Errorf("--current is for --format R and jgf: %s needs no resource set", c.format)
	case c.format == asSetProperty:
		printText(cmd, flux.SetProperties(members, nodes.Tokens))
		return nil
	case c.format == asConfig:
		printText(cmd, flux.Config(members, nodes.Tokens))
		return nil
	}
	r, err := c.resources(cmd, members)
	if err != nil {
		return err
	}
	if c.format == asJGF {
		graph, err := flux.JGF(r, members, nodes.Tokens)
		if err != nil {
			return err
		}
		return cli.WriteJSON(cmd.OutOrStdout(), graph)
	}
	unknown, err := r.SetProperties(members, nodes.Tokens)
	if err != nil {
		return err
	}
	if len(unknown) > 0 {
		cmd.PrintErrln("imagefit: nothing is known of these nodes, which get no property: " + hostlist.Format(unknown))
	}
	return cli.WriteJSON(cmd.OutOrStdout(), r)
}

// resources is the resource set of the instance, or one of nodes with --cores each.
func (c *exportCommand) resources(cmd *cobra.Command, members map[string][]string) (*flux.R, error) {
	const maxCores = 4096
	if c.current == "" {
		if c.cores < 1 || c.cores > maxCores {
			return nil, fmt.Errorf("--cores %d: want 1 to %d", c.cores, maxCores)
		}
		return flux.Whole(members, c.cores), nil
	}
	text, err := readBounded(c.current, cmd.InOrStdin(), maxFactsFile)
	var r *flux.R
	if err == nil {
		r, err = flux.Read(text)
	}
	if err != nil {
		return nil, fmt.Errorf(`read --current %s: %w; want what "flux resource R" prints`, c.current, err)
	}
	return r, nil
}

func newExportKubernetes() *cobra.Command {
	var c exportCommand
	cmd := &cobra.Command{
		Use:   "kubernetes",
		Short: "Write the classes of nodes as labels of Kubernetes",
		Long: `Kubernetes writes the classes as the label ` + nodeclass.Label + ` of nodes:
  labels       calls of kubectl
  nodefeature  NodeFeature objects, from which NFD makes the label if its
               configuration allows the namespace imagefit.dev
  features.d   the file for NFD's features.d on the one node that --nodes names
On a node, "imagefit facts --class --like classes.json -o labels" prints the same
file without its name.`,
		Example: `  imagefit export kubernetes --nodes @k8s | sh
  imagefit export kubernetes --nodes @k8s --format nodefeature | kubectl apply -f -`,
	}
	exporting(cmd, &c, c.kubernetes)
	c.format = asLabels
	cli.OneOf(cmd, &c.format, "format", "", "format", []cli.Output{asLabels, asNodeFeature, asFeaturesD})
	return cmd
}

func (c *exportCommand) kubernetes(cmd *cobra.Command, nodes *fleet) error {
	members := nodes.members()
	if c.format == asFeaturesD {
		if len(nodes.Nodes) != 1 {
			return fmt.Errorf("--format features.d is the file of one node, and --nodes names %d", len(nodes.Nodes))
		}
		printText(cmd, nodeclass.Label+"="+nodes.Classes[0].ID+"\n")
		return nil
	}
	if c.format == asNodeFeature {
		var b bytes.Buffer
		encoder := yaml.NewEncoder(&b)
		encoder.SetIndent(2)
		for _, class := range nodes.Classes {
			for _, name := range members[class.ID] {
				if err := encoder.Encode(nodeFeatureOf(name, class.ID)); err != nil {
					return err
				}
			}
		}
		printText(cmd, b.String())
		return encoder.Close()
	}
	for _, class := range nodes.Classes {
		names, err := hostlist.Parse(hostlist.Format(members[class.ID]))
		if err != nil {
			return err
		}
		printText(cmd, fmt.Sprintf("kubectl label node --overwrite %s %s=%s\n", strings.Join(names, " "), nodeclass.Label, class.ID))
	}
	return nil
}

// printText prints a text.
func printText(cmd *cobra.Command, text string) {
	_, _ = io.WriteString(cmd.OutOrStdout(), text) // a reader that went away needs no more
}

// nodeFeatureOf is an object that NFD's master merges with that of its worker.
func nodeFeatureOf(node, class string) map[string]any {
	return map[string]any{
		"apiVersion": "nfd.k8s-sigs.io/v1alpha1", "kind": "NodeFeature",
		"metadata": map[string]any{"name": "imagefit-" + node, "labels": map[string]string{nodefeature.NodeLabel: node}},
		"spec": map[string]any{"labels": map[string]string{nodeclass.Label: class}, "features": map[string]any{
			"flags": map[string]any{}, "attributes": map[string]any{}, "instances": map[string]any{},
		}},
	}
}
