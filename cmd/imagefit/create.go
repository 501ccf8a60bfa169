package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/author/convert"
	"github.com/imagefit/imagefit/pkg/author/inspect"
	"github.com/imagefit/imagefit/pkg/compat/spec"
	"github.com/imagefit/imagefit/pkg/registry"
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
		Use:   "create (--from SOURCE | --from-host)",
		Short: "Make a first version of what an image asks for",
		Long: `Create writes the body of a compatibility artifact with the least that the image
needs, and prints on stderr where each requirement comes from. Read it and change
what you know better, then "imagefit check" it and attach it to the image.

With --from it looks at what was built: a program, a directory, an OCI layout, an
archive (of a file system, of an OCI layout, of docker save, crane pull, skopeo
or podman), or an image in a registry with the credentials of your container
tools. Of an image with variants, all are looked at: where they require different
things, -w needs.json writes needs-linux-amd64.json and so on.

It decodes the code of all programs and libraries, and requires the CPU's flags
for what they use without a look at the CPU. They record the C library that they
need, and whether they are linked to MPI, CUDA or ROCm. What the image itself
contains and what its platform states is not required of the node. Nothing is run.

With --from-host it looks at this node, or with --facts at another one, and takes
what any node of its kind has: the x86-64 level but not the CPU's model, the
version of the kernel but not its release. Choose with --family.

Exit code 0: written; 3: nothing has to be required; 1: error.`,
		Example: `  imagefit create --from ./build/app
  imagefit create --from image.tar --platform linux/amd64 -w needs.json
  imagefit create --from registry.example/app:1 -w needs.json
  imagefit create --from-host --family cpu,kernel,gpu --dialect nfd-v1alpha1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&c.from, "from", "", "look at this program, directory, OCI layout, archive or image in a registry")
	flags.BoolVar(&c.fromHost, "from-host", false, "look at a node")
	cmd.MarkFlagsMutuallyExclusive("from", "from-host")
	cmd.MarkFlagsOneRequired("from", "from-host")
	c.mpi = mpiOfImage
	cli.OneOf(cmd, &c.mpi, "mpi", "", "with --from, whose MPI the programs use", []string{mpiOfImage, mpiOfHost})
	flags.StringVar(&c.base, "base", "", "with --from, what the program will be put into, to compare the C library with")
	factsFlag(cmd, &c.facts)
	flags.StringSliceVar(&c.families, "family", []string{"cpu", "kernel"}, "with --from-host, what to take: "+strings.Join(inspect.Families(), ", "))
	cli.Complete(cmd, "family", inspect.Families()...)
	flags.StringVar(&c.platform, "platform", "", "with --from, one variant of an image, such as linux/amd64 (default: all)")
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
	drafts, err := c.drafts(cmd)
	if err != nil {
		return err
	}
	for i := range drafts {
		if len(drafts) > 1 {
			cmd.PrintErrf("--- %s\n", printable(drafts[i].name))
		}
		if err := drafts[i].write(cmd, specs, c.dialect); err != nil {
			return err
		}
	}
	return c.save(cmd, drafts)
}

// draft is what one variant of an image requires.
type draft struct {
	name  string // its platform, or its place
	needs []inspect.Need
	notes []string
	body  []byte // nil where nothing has to be required
}

// write prints where each requirement comes from, and makes the body.
func (d *draft) write(cmd *cobra.Command, specs []spec.Spec, to string) error {
	for _, n := range d.needs {
		pairs := make([]string, len(n.Attributes))
		for i, a := range n.Attributes {
			pairs[i] = a.Key + "=" + a.Value
		}
		cmd.PrintErrf("%s: %s\n", printable(strings.Join(pairs, " ")), printable(n.Because))
	}
	printEach(cmd, "note", d.notes)
	if len(d.needs) == 0 {
		cmd.PrintErrln("nothing has to be required")
		return nil
	}
	written, err := convert.Attributes(specs, inspect.AttributesOf(d.needs), to)
	if err != nil {
		return err
	}
	printEach(cmd, "lost", written.Lost)
	printEach(cmd, "note", written.Notes)
	d.body = written.Body
	return nil
}

// save writes one body where all variants require the same, and else a file for
// each variant that requires something.
func (c createCommand) save(cmd *cobra.Command, drafts []draft) error {
	same := true
	for _, d := range drafts[1:] {
		same = same && bytes.Equal(d.body, drafts[0].body)
	}
	switch {
	case same && drafts[0].body == nil:
		return cli.ExitError(exitNothing)
	case same:
		return c.out.write(cmd, drafts[0].body)
	case c.out.name == "":
		return fmt.Errorf("the %d variants require different things: pick one with --platform, or write a file for each with -w FILE", len(drafts))
	}
	extension := filepath.Ext(c.out.name)
	for i, d := range drafts {
		if d.body == nil {
			continue
		}
		out := c.out
		out.name = strings.TrimSuffix(c.out.name, extension) + "-" + fileNameOf(d.name, i) + extension
		if err := out.write(cmd, d.body); err != nil {
			return err
		}
		cmd.PrintErrf("%s: written to %s\n", printable(d.name), out.name)
	}
	return nil
}

// fileNameOf makes a part of a file name of a platform.
func fileNameOf(platform string, i int) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, platform)
	if strings.Trim(name, "-") == "" {
		return strconv.Itoa(i)
	}
	return name
}

func (c createCommand) drafts(cmd *cobra.Command) ([]draft, error) {
	if c.fromHost {
		facts, err := nodeOf(cmd, c.facts)
		if err != nil {
			return nil, fmt.Errorf("read --facts: %w", err)
		}
		needs, notes := inspect.FromFacts(facts, c.families)
		return []draft{{needs: needs, notes: notes}}, nil
	}
	found, err := contentsOf(cmd, c.from, c.platform)
	if err != nil {
		return nil, err
	}
	options := inspect.Options{HostMPI: c.mpi == mpiOfHost}
	if c.base != "" {
		bases, err := contentsOf(cmd, c.base, cmp.Or(c.platform, found[0].Platform, "linux/"+runtime.GOARCH))
		if err != nil {
			return nil, fmt.Errorf("read --base: %w", err)
		}
		options.Base = bases[0]
	}
	drafts := make([]draft, len(found))
	for i, f := range found {
		drafts[i].name = cmp.Or(f.Platform, fmt.Sprintf("image %d", i))
		drafts[i].needs, drafts[i].notes = f.Needs(options)
	}
	return drafts, nil
}

// contentsOf looks at a path, or where there is none of that name, at an image in a
// registry.
func contentsOf(cmd *cobra.Command, from, platform string) ([]*inspect.Contents, error) {
	found, err := inspect.Path(cmd.Context(), from, platform)
	if !errors.Is(err, fs.ErrNotExist) || found != nil {
		return found, err
	}
	if _, statErr := os.Lstat(from); statErr == nil || !isReference(from) {
		return nil, err
	}
	named, auth, err := toolAuth(cmd.Context(), strings.TrimPrefix(from, "docker://"))
	if err != nil {
		return nil, err
	}
	remote := inspect.NewRemote(named, auth, registry.UserAgent(cli.BuildVersion(version)))
	defer remote.Close()
	top, err := remote.Resolve(cmd.Context(), named)
	if err != nil {
		return nil, fmt.Errorf("there is no file %s, and no image: %w", from, err)
	}
	found, err = inspect.Image(cmd.Context(), remote, top, platform)
	if err != nil {
		return nil, fmt.Errorf("inspect %s: %w", named, err)
	}
	return found, nil
}

// isReference tells the name of an image from a path that does not exist: it has a
// registry, as paths do not.
func isReference(from string) bool {
	from, explicit := strings.CutPrefix(from, "docker://")
	host, rest, ok := strings.Cut(from, "/")
	return explicit || ok && rest != "" && (strings.ContainsAny(host, ".:") && !strings.HasPrefix(host, ".") || host == "localhost")
}
