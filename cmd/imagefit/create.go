package main

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/author/convert"
	"github.com/imagefit/imagefit/pkg/author/inspect"
)

// Whose MPI programs use.
const (
	mpiOfImage = "image"
	mpiOfHost  = "host"
)

// exitNothing is the exit code where nothing has to be required.
const exitNothing = 3

// createCommand makes a first version of what an image asks for.
type createCommand struct {
	specs, dialect string
	fromHost       bool
	facts          string // with fromHost
	families       []string
	from, platform string
	mpi, base      string
	out            outputFile
}

func newCreateCommand() *cobra.Command {
	var c createCommand
	cmd := &cobra.Command{
		Use:   "create (--from PATH | --from-host)",
		Short: "Make a first version of what an image asks for",
		Long: `Create writes the body of a compatibility artifact with the least that the image
needs, and prints on stderr where each requirement comes from. Read it and change
what you know better, then "imagefit check" it and attach it to the image.

With --from it looks at what was built: a program, a directory, an OCI layout, or
a tar archive of a file system or of an OCI layout. It decodes the code of all
programs and libraries, and requires the CPU's flags for what they use without a
look at the CPU; and they record the C library that they need, and whether they
are linked to MPI, CUDA or ROCm. What the image itself contains and what its
platform states is not required of the node. Nothing is run.

With --from-host it looks at this node, or with --facts at another one, and takes
what any node of its kind has: the x86-64 level but not the CPU's model, the
version of the kernel but not its release. Choose with --family.

Exit code 0: written; 3: nothing has to be required; 1: error.`,
		Example: `  imagefit create --from ./build/app
  imagefit create --from image.tar --platform linux/amd64 -w needs.json
  imagefit create --from-host --family cpu,kernel,gpu --dialect nfd-v1alpha1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&c.from, "from", "", "look at this program, directory, OCI layout or tar archive")
	flags.BoolVar(&c.fromHost, "from-host", false, "look at a node")
	cmd.MarkFlagsMutuallyExclusive("from", "from-host")
	cmd.MarkFlagsOneRequired("from", "from-host")
	c.mpi = mpiOfImage
	cli.OneOf(cmd, &c.mpi, "mpi", "", "with --from, whose MPI the programs use", []string{mpiOfImage, mpiOfHost})
	flags.StringVar(&c.base, "base", "", "with --from, what the program will be put into, to compare the C library with")
	factsFlag(cmd, &c.facts)
	flags.StringSliceVar(&c.families, "family", []string{"cpu", "kernel"}, "with --from-host, what to take: "+strings.Join(inspect.Families(), ", "))
	cli.Complete(cmd, "family", inspect.Families()...)
	flags.StringVar(&c.platform, "platform", "linux/"+runtime.GOARCH, "with --from, the variant of an image")
	cli.Complete(cmd, "platform", "linux/amd64", "linux/arm64", "linux/ppc64le", "linux/riscv64", "linux/s390x")
	c.dialect = convert.Targets()[0]
	cli.OneOf(cmd, &c.dialect, "dialect", "", "dialect to write", convert.Targets())
	c.out.addFlags(cmd)
	specsFlag(cmd, &c.specs)
	return cmd
}

func (c createCommand) run(cmd *cobra.Command) error {
	for _, family := range c.families {
		if err := cli.Check("family", family, inspect.Families()); err != nil {
			return err
		}
	}
	specs, err := loadSpecs(cmd, c.specs)
	if err != nil {
		return err
	}
	needs, notes, err := c.needs(cmd)
	if err != nil {
		return err
	}
	for _, n := range needs {
		pairs := make([]string, len(n.Attributes))
		for i, a := range n.Attributes {
			pairs[i] = a.Key + "=" + a.Value
		}
		cmd.PrintErrf("%s: %s\n", printable(strings.Join(pairs, " ")), printable(n.Because))
	}
	printEach(cmd, "note", notes)
	if len(needs) == 0 {
		cmd.PrintErrln("nothing has to be required, so nothing is written")
		return cli.ExitError(exitNothing)
	}
	written, err := convert.Attributes(specs, inspect.AttributesOf(needs), c.dialect)
	if err != nil {
		return err
	}
	printEach(cmd, "lost", written.Lost)
	printEach(cmd, "note", written.Notes)
	return c.out.write(cmd, written.Body)
}

func (c createCommand) needs(cmd *cobra.Command) ([]inspect.Need, []string, error) {
	if c.fromHost {
		facts, err := loadFacts(cmd.Context(), c.facts, cmd.InOrStdin())
		if err != nil {
			return nil, nil, fmt.Errorf("read --facts: %w", err)
		}
		needs, notes := inspect.FromFacts(facts, c.families)
		return needs, notes, nil
	}
	found, err := inspect.Path(cmd.Context(), c.from, c.platform)
	if err != nil {
		return nil, nil, err
	}
	options := inspect.Options{HostMPI: c.mpi == mpiOfHost}
	if c.base != "" {
		if options.Base, err = inspect.Path(cmd.Context(), c.base, c.platform); err != nil {
			return nil, nil, fmt.Errorf("read --base: %w", err)
		}
	}
	needs, notes := found.Needs(options)
	return needs, notes, nil
}
