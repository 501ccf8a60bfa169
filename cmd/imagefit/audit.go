package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/config"
)

// htmlOutput is the format of a page.
const htmlOutput cli.Output = "html"

// auditCommand shows what would no longer be admitted, here or on other hosts.
type auditCommand struct {
	all     bool
	facts   []string
	changes []string
	images  string
	needs   needsFlags
	output  cli.Output
}

func newAuditCommand() *cobra.Command {
	var c auditCommand
	cmd := &cobra.Command{
		Use:   "audit [FILE...]",
		Short: "Show which containers and images would not be admitted now, or after a change",
		Long: `Audit lists the containers that run on this node, and the names of the images on
it, that do not fit it by the facts and the configuration of now: those that
nri-plugin would refuse if they were created again. It decides as nri-plugin
does, by what is kept of images in state_dir, and asks no registry. Nothing is
stopped or changed, and the daemons need not run. Only root may read the state.

  refused    would not be admitted
  tolerated  does not fit, and the mode or an exemption admits it
  unchecked  nothing is known of what it needs, so it would be admitted
  admitted   fits, or is not known not to; listed with --all

Images are evaluated as for a pod without exemptions. "imagefit images --check"
shows whether another variant would be chosen today.

With --facts, --facts-change, --images or --catalog it asks what if: what would
become of all images of this node, or of those in a file, on other hosts, or
after a change of a host. Registries are asked as by explain; with --catalog
none is, the images are those of the catalog unless --images names some, and
what they need is as old as its last sync. Further FILEs are hosts like those of
--facts, so that a shell may expand nodes/*.json. A list of NodeFeature objects,
or a directory of files, is many hosts. --facts-change replaces a fact of each
host, and what follows from it: kernel.version=6.12, nvidia.driver=580.65,
cpu.cpuid/AVX512F=false, or any SET/ELEMENT that "imagefit facts" shows. Then
what changes is shown, on this node also of the containers that run.

With -o html it writes one page that needs nothing else: images by hosts, to
filter and to walk through, with what each lacks.

Exit code 0: all fit; 3: a container or an image does not, or with --facts-change,
fits less well than before; 1: error, or the catalog lacks an image.`,
		Example: `  imagefit audit
  imagefit audit --facts-change kernel.version=6.12 --facts-change nvidia.driver=580.65.06
  imagefit audit --images images.txt --facts nodes/*.json
  imagefit audit --catalog catalog.db --facts nodes/*.json
  kubectl get nodefeatures -A -o json > nodes.json; imagefit audit --facts nodes.json -o html > audit.html`,
		Args: cobra.ArbitraryArgs,
		RunE: c.run,
	}
	flags := cmd.Flags()
	flags.BoolVar(&c.all, "all", false, "also list what is admitted and what is unchecked, or does not change")
	flags.StringArrayVar(&c.facts, "facts", nil, "`FILE` with the facts of a host, or of many; as for explain, or a directory; repeatable")
	flags.StringArrayVar(&c.changes, "facts-change", nil, "`FACT=VALUE` that each host would have; repeatable")
	flags.StringVar(&c.images, "images", "", "`FILE` with one reference on each line, in place of the images of this node; - is stdin")
	c.needs.add(cmd)
	flags.String("arch", "", "architecture of hosts whose facts do not tell it: "+strings.Join(architectures(), ", "))
	cli.Complete(cmd, "arch", architectures()...)
	c.output.AddFlag(cmd, cli.Text, cli.JSON, cli.YAML, csvOutput, htmlOutput)
	return cmd
}

func (c *auditCommand) run(cmd *cobra.Command, args []string) error {
	cfg, err := cli.LoadConfig(cmd)
	if err != nil {
		return err
	}
	if err := c.needs.validate(cmd, c.images != ""); err != nil {
		return err
	}
	switch {
	case len(args) > 0 && len(c.facts) == 0:
		return errors.New("imagefit audit takes FILEs of facts behind --facts only: imagefit audit --facts " + args[0])
	case len(c.facts)+len(c.changes) > 0 || c.images != "" || c.needs.fromCatalog(cmd):
		return c.runWhatIf(cmd, cfg, args)
	case c.output == csvOutput || c.output == htmlOutput:
		return errors.New("-o " + string(c.output) + " is for images on hosts: with --facts, --facts-change, --images or --catalog")
	}
	return c.runHere(cmd, cfg)
}

// runHere audits this node as it is.
func (c *auditCommand) runHere(cmd *cobra.Command, cfg config.Config) error {
	known, err := liveFacts(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	report, err := auditNode(cmd.Context(), cfg, known, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	if err := c.output.Print(cmd, report, func(b *cli.Console) { printAuditReport(b, report, c.all) }); err != nil {
		return err
	}
	if report.Unfit() {
		return cli.ExitError(exitNoneFits)
	}
	return nil
}
