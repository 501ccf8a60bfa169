package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/wiring"
	"github.com/imagefit/imagefit/pkg/compat/spec"
)

// defaultSpecs is where operators keep compatibility specs of their own.
const defaultSpecs = "/etc/imagefit/specs.d"

func newSpecCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "spec",
		Short: "Show and check compatibility specs: what the attributes of images mean",
		Long: `A compatibility spec says what the attributes of one compatibility interest group
mean: which fact each is compared with, how, and whether it is required. Imagefit
comes with some; operators add theirs as *.toml to /etc/imagefit/specs.d, where a
spec of the same name replaces the embedded one.`,
	}
	return group(cmd, newSpecListCommand(), newSpecShowCommand(), newSpecCheckCommand(), newSpecConvertCommand(),
		printing(spec.Schema(), &cobra.Command{
			Use:     "schema",
			Short:   "Print the JSON Schema of compatibility specs, for editors",
			Example: `  imagefit spec schema > imagefit-spec.schema.json`,
		}))
}

func specsFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "specs", defaultSpecs, "directory with the operator's compatibility specs")
	_ = cmd.MarkFlagDirname("specs") // the flag exists
}

// loadSpecs returns the specs that apply. What is wrong with an operator's file is
// printed and does not stop the others.
func loadSpecs(cmd *cobra.Command, dir string) ([]spec.Spec, error) {
	specs, skipped, err := wiring.Specs(dir)
	for _, problem := range skipped {
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "note: skipped: %s\n", oneLine(problem.Error()))
	}
	return specs, err
}

func interpreter(cmd *cobra.Command, dir string) (*spec.Interpreter, error) {
	specs, err := loadSpecs(cmd, dir)
	if err != nil {
		return nil, err
	}
	return spec.NewInterpreter(specs), nil
}

func newSpecListCommand() *cobra.Command {
	var dir string
	var output cli.Output
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the compatibility specs in the order in which they are asked",
		Example: `  imagefit spec list`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			specs, err := loadSpecs(cmd, dir)
			if err != nil {
				return err
			}
			rows := make([]specRow, 0, len(specs))
			for _, s := range specs {
				rows = append(rows, specRow{s.Name, s.Revision, specGroups(s), len(s.Nodes), s.Source, s.Description})
			}
			return output.Print(cmd, rows, func(b *cli.Console) { printSpecs(b, rows) })
		},
	}
	specsFlag(cmd, &dir)
	output.AddFlag(cmd, cli.Text, cli.JSON)
	return cmd
}

// specRow is one spec in a list.
type specRow struct {
	Name        string   `json:"name"`
	Revision    string   `json:"revision,omitempty"`
	Groups      []string `json:"groups"`
	Nodes       int      `json:"nodes"`
	Source      string   `json:"source"`
	Description string   `json:"description,omitempty"`
}

func printSpecs(b *cli.Console, rows []specRow) {
	table := b.Table()
	fmt.Fprintln(table, "NAME\tREVISION\tGROUPS\tNODES\tSOURCE\tDESCRIPTION")
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\n", printable(r.Name), printable(r.Revision),
			printable(strings.Join(r.Groups, " ")), r.Nodes, printable(r.Source), printable(r.Description))
	}
	table.Flush()
}

func newSpecShowCommand() *cobra.Command {
	var dir, graph string
	cmd := &cobra.Command{
		Use:   "show NAME|FILE",
		Short: "Show what the attributes of one compatibility spec mean",
		Long: `Show prints what each attribute of a compatibility spec means. With --graph it
draws the graph that the attributes make instead, as a tree of text or, with
--graph=dot, for Graphviz. A spec that is not installed is named by its file, as
for "imagefit spec check".`,
		Example: `  imagefit spec show io.archspec
  imagefit spec show ./schema.json --graph
  imagefit spec show io.archspec --graph
  imagefit spec show io.archspec --graph=dot | dot -Tsvg > archspec.svg`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeSpecs,
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, err := findSpec(cmd, dir, args[0])
			if err != nil {
				return err
			}
			var text string
			switch graph {
			case "text":
				text = spec.GraphText()
			case "dot":
				text = spec.GraphDOT()
			default:
				text = specText(spec)
			}
			_, err = io.WriteString(cmd.OutOrStdout(), text)
			return err
		},
	}
	specsFlag(cmd, &dir)
	cli.OneOf(cmd, &graph, "graph", "", "draw the graph", []string{"text", "dot"})
	cmd.Flags().Lookup("graph").NoOptDefVal = "text"
	return cmd
}

// completeSpecs offers the names of specs to the shell.
func completeSpecs(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	dir, err := cmd.Flags().GetString("specs")
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	specs, _, err := wiring.Specs(dir)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return specNames(specs), cobra.ShellCompDirectiveNoFileComp
}

func specNames(specs []spec.Spec) []string {
	names := make([]string, len(specs))
	for i, s := range specs {
		names[i] = s.Name
	}
	return names
}

// findSpec returns the spec of a name, or that of a file: "-", or whatever has a
// slash or ends as files do.
func findSpec(cmd *cobra.Command, dir, name string) (spec.Spec, error) {
	if name == "-" || strings.ContainsRune(name, '/') || slices.Contains([]string{".toml", ".json"}, filepath.Ext(name)) {
		return readSpec(cmd, name)
	}
	specs, err := loadSpecs(cmd, dir)
	if err != nil {
		return spec.Spec{}, err
	}
	names := specNames(specs)
	if i := slices.Index(names, name); i >= 0 {
		return specs[i], nil
	}
	return spec.Spec{}, fmt.Errorf("no compatibility spec is named %q; there are: %s", name, strings.Join(names, ", "))
}

func newSpecCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Check whether a file is a valid compatibility spec",
		Long: `Check reads a compatibility spec as the programs do when they start, or a schema
of Proposal D in the JSON Graph Format. An error says the file, the row and, where
it is known, the column. "-" is stdin.`,
		Example: `  imagefit spec check my-group.toml
  imagefit spec check schema.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, err := readSpec(cmd, args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s is valid, nodes: %d\n", args[0], printable(spec.Name), len(spec.Nodes))
			return err
		},
	}
}

func readSpec(cmd *cobra.Command, file string) (spec.Spec, error) {
	text, err := readBounded(file, cmd.InOrStdin(), maxSpecFile)
	if err != nil {
		return spec.Spec{}, err
	}
	parsed, err := spec.Parse(text)
	if err != nil {
		return spec.Spec{}, fmt.Errorf("%s: %s", file, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if len(parsed.Nodes) == 0 {
		return spec.Spec{}, errors.New(file + ": a spec needs at least one node")
	}
	parsed.Source = file
	return parsed, nil
}

func newSpecConvertCommand() *cobra.Command {
	var out outputFile
	cmd := &cobra.Command{
		Use:   "convert FILE",
		Short: "Write a schema graph as a compatibility spec",
		Long: `Convert reads a schema of Proposal D in the JSON Graph Format and writes it as a
compatibility spec in TOML, to be completed: the graph does not say what its
attributes are compared with, so each of them is informative until you add fact,
element, type and match. "-" is stdin.`,
		Example: `  imagefit spec convert schema.json -w my-group.toml`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			graph, err := readSpec(cmd, args[0])
			if err != nil {
				return err
			}
			text, err := spec.Marshal(&graph)
			if err != nil {
				return err
			}
			return out.write(cmd, text)
		},
	}
	out.addFlags(cmd)
	return cmd
}
