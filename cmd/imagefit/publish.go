package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/author/attach"
	"github.com/imagefit/imagefit/pkg/author/convert"
	"github.com/imagefit/imagefit/pkg/compat/spec"
	"github.com/imagefit/imagefit/pkg/registry"
)

// publishCommand attaches to every variant of images what it needs.
type publishCommand struct {
	bodies, platforms     []string
	base, dialect, specs  string
	noBase, dryRun        bool
	replace, force, quiet bool
	output                cli.Output

	readAs, layerType string // of the files, as attach has them
}

func newPublishCommand() *cobra.Command {
	var c publishCommand
	cmd := &cobra.Command{
		Use:   "publish IMAGE...",
		Short: "Find out what every variant of images needs, and attach it",
		Long: `Publish does what create, lint and attach do, for every variant of each IMAGE: it
fetches the variant, looks at the programs in it, adds what the base image needs,
and attaches the result. First it prints the plan, with where each requirement
comes from; nothing is pushed if lint finds an error in any of it.

With --body it attaches files instead: FILE to each image as a whole, or
FILE=PLATFORM,... to the variants of these platforms.

The base image is the one that the manifest of a variant names, in
org.opencontainers.image.base.name and base.digest, or --base. What it needs is
added, but for what the new image states itself.

Exit code 0: all is attached, or needs nothing; 1: something is not.`,
		Example: `  imagefit publish registry.example/app:1 --dry-run
  imagefit publish registry.example/app:1 registry.example/tool:2
  imagefit publish registry.example/app:1 --body needs.json --body v3.json=linux/amd64/v3
  imagefit publish registry.example/app:1 --base registry.example/base:9`,
		Args: cobra.MinimumNArgs(1),
		RunE: c.run,
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&c.bodies, "body", nil, "attach this file, FILE or FILE=PLATFORM,..., and inspect no image")
	flags.StringSliceVar(&c.platforms, "platform", nil, "only the variants of these platforms, such as linux/amd64/v3")
	flags.StringVar(&c.base, "base", "", "the base image, if the manifest names none or another one")
	flags.BoolVar(&c.noBase, "no-base", false, "leave out what the base image needs")
	c.dialect = convert.Targets()[0]
	cli.OneOf(cmd, &c.dialect, "dialect", "", "dialect to write", convert.Targets())
	flags.BoolVar(&c.dryRun, "dry-run", false, "print the plan and push nothing")
	flags.BoolVar(&c.replace, "replace", false, "delete what is attached of the same type")
	flags.BoolVar(&c.force, "force", false, "push a file in which lint finds errors")
	flags.BoolVarP(&c.quiet, "quiet", "q", false, "do not say what is being done")
	cmd.MarkFlagsMutuallyExclusive("base", "no-base")
	specsFlag(cmd, &c.specs)
	c.output.AddFlag(cmd, cli.Text, cli.JSON)
	return cmd
}

// publishing is one run of publish.
type publishing struct {
	publishCommand
	cmd    *cobra.Command
	known  []spec.Spec
	reader bodyReader
	reg    *registry.Registry
	step   func(string)
	plan   []*planned
	files  []bodyFile
}

// bodyFile is a file that --body names, and the variants that it is for.
type bodyFile struct {
	name      string
	body      attach.Body
	platforms []string
}

func (c *publishCommand) run(cmd *cobra.Command, images []string) error {
	p := publishing{publishCommand: *c, cmd: cmd, step: func(string) {}}
	if !c.quiet {
		p.step = func(text string) { cmd.PrintErrln(text) }
	}
	var err error
	if p.known, err = loadSpecs(cmd, c.specs); err != nil {
		return err
	}
	note := func(format string, args ...any) { cmd.PrintErrln("note: " + fmt.Sprintf(format, args...)) }
	p.reader = bodyReader{
		cmd: cmd, specs: p.known, interpreter: spec.NewInterpreter(p.known), force: c.force, step: func(string) {}, note: note,
	}
	if err := p.open(); err != nil {
		return err
	}
	p.reader.dialect, p.reader.layerType = c.dialect, ""
	p.reg = registry.New(registry.Options{UserAgent: registry.UserAgent(cli.BuildVersion(version))})
	defer p.reg.Close()
	for _, image := range images {
		if err := p.image(cmd.Context(), image); err != nil {
			return err
		}
	}
	if c.output == cli.Text {
		cmd.PrintErrf("%s", planText(p.plan))
	}
	if !c.dryRun {
		p.attach(cmd.Context())
	}
	failed := slices.ContainsFunc(p.plan, func(i *planned) bool { return i.Error != "" })
	err = c.output.Print(cmd, p.plan, func(b *cli.Console) { printSummary(b, p.plan, c.dryRun) })
	if failed && err == nil {
		err = cli.ExitError(1)
	}
	return err
}

// open reads the files of --body.
func (p *publishing) open() error {
	p.reader.dialect, p.reader.layerType = p.readAs, p.layerType
	for _, text := range p.bodies {
		file, platforms, named := strings.Cut(text, "=")
		if _, err := os.Stat(text); err == nil {
			file, named = text, false
		}
		body, err := p.reader.open(file)
		if err != nil {
			return err
		}
		f := bodyFile{name: file, body: body}
		if named {
			f.platforms = strings.Split(platforms, ",")
		}
		p.files = append(p.files, f)
	}
	return nil
}
