package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/decision"
)

// imagesCommand lists the names of the images on this node.
type imagesCommand struct {
	check  bool
	output cli.Output
}

func newImagesCommand() *cobra.Command {
	var c imagesCommand
	cmd := &cobra.Command{
		Use:   "images [NAME...]",
		Short: "List the images of this node with their variants, and check them",
		Long: `Images lists the names of the images on this node: which variant each name is of,
since when, whether an image record of the runtime or cri-proxy keeps the
name, and for which pod the image was pulled. NAME is a name in any spelling, a
repository, an image ID or the digest of a manifest.

The names are those that the kubelet sees, from cri-proxy or else the runtime; the
rest comes from containerd's image records, the names that cri-proxy keeps, and
the decision log. Only root may read these. What cannot be read is reported, and
the others are used. Nothing is changed, and the daemons need not run.

With --check each name is resolved again at its registry, as explain does; TODAY:
  same       the variant on the node is the one that a pull would choose
  newer      the same variant, of a newer image
  other      another variant would be chosen
  none       nothing fits
  unknown    it cannot be determined

Exit code 0: listed, and nothing differs; 3: with --check, another variant or none
would be chosen for a name; 4: with --check, not known for a name; 1: error.`,
		Example: `  imagefit images
  imagefit images registry.example/app
  imagefit images --check
  imagefit images -o json`,
		RunE: c.run,
	}
	cmd.Flags().BoolVar(&c.check, "check", false, "ask the registries whether another variant would be chosen today")
	c.output.AddFlag(cmd, cli.Text, cli.JSON)
	return cmd
}

// imageList is the images of a node. Its JSON names are stable.
type imageList struct {
	Source   string      `json:"source"` // socket that listed the images; empty where none did
	Images   []nodeImage `json:"images"`
	Problems []string    `json:"problems,omitempty"`
}

// nodeImage is one name of an image.
type nodeImage struct {
	Name      string        `json:"name"`
	ImageID   string        `json:"image_id"`
	Variant   string        `json:"variant,omitempty"` // its platform
	Manifest  digest.Digest `json:"manifest,omitempty"`
	Index     digest.Digest `json:"index,omitempty"` // that the manifest is from
	Since     *time.Time    `json:"since,omitempty"`
	KeptBy    string        `json:"kept_by,omitempty"` // runtime or proxy
	Namespace string        `json:"namespace,omitempty"`
	Pod       string        `json:"pod,omitempty"`
	Today     *today        `json:"today,omitempty"` // with --check
}

func (c *imagesCommand) run(cmd *cobra.Command, args []string) error {
	cfg, err := cli.LoadConfig(cmd)
	if err != nil {
		return err
	}
	list := listImages(cmd.Context(), cfg, cmd.ErrOrStderr())
	complete := list.Source != "" || len(list.Images) > 0
	missing := list.keep(args)
	if c.check && len(list.Images) > 0 {
		if err := checkImages(cmd.Context(), cfg, cmd.ErrOrStderr(), list.Images); err != nil {
			return err
		}
	}
	if c.output == cli.Text {
		if !complete {
			return list.unreadable()
		}
		for _, problem := range list.Problems {
			cmd.PrintErrf("imagefit: %s\n", problem)
		}
	}
	err = c.output.Print(cmd, list, func(b *cli.Console) { printImages(b, list.Images, c.check, time.Now()) })
	switch {
	case err != nil:
		return err
	case !complete:
		return list.unreadable()
	case len(missing) > 0:
		return fmt.Errorf("this node has no image with the name %s: imagefit images lists all names", decision.Line(strings.Join(missing, ", ")))
	}
	return exitOfChecks(list.Images)
}

// unreadable is the error where nothing could be read.
func (l *imageList) unreadable() error {
	return errors.New("cannot list the images of this node: " + strings.Join(l.Problems, "; "))
}

// keep keeps the images that are named, all without names, and returns the names
// without an image.
func (l *imageList) keep(wanted []string) (missing []string) {
	if len(wanted) == 0 {
		return nil
	}
	var kept []nodeImage
	found := map[string]bool{}
	for _, image := range l.Images {
		named := false
		for _, name := range wanted {
			if image.isNamed(name) {
				found[name], named = true, true
			}
		}
		if named {
			kept = append(kept, image)
		}
	}
	l.Images = append([]nodeImage{}, kept...)
	return slices.DeleteFunc(slices.Clone(wanted), func(name string) bool { return found[name] })
}

// isNamed reports whether a person may mean the image by a name.
func (i nodeImage) isNamed(name string) bool {
	if slices.Contains([]string{i.Name, i.ImageID, i.Manifest.String()}, name) && name != "" {
		return true
	}
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return false
	}
	if reference.IsNameOnly(named) {
		return named.Name() == decision.RepositoryOf(i.Name)
	}
	return normalized(name) == i.Name
}

// normalized is a reference as runtimes spell it.
func normalized(ref string) string {
	named, err := reference.ParseDockerRef(ref)
	if err != nil {
		return ref
	}
	return named.String()
}

// printImages prints the images as a table.
func printImages(b *cli.Console, all []nodeImage, checked bool, now time.Time) {
	table := b.Table()
	head := "NAME\tVARIANT\tMANIFEST\tSINCE\tKEPT BY\tPOD"
	if checked {
		head += "\tTODAY"
	}
	fmt.Fprintln(table, head)
	for _, i := range all {
		i.print(b, table, now)
	}
	table.Flush()
}

func (i nodeImage) print(b *cli.Console, w io.Writer, now time.Time) {
	since := "-"
	if i.Since != nil {
		since = ago(*i.Since, now)
	}
	pod := strings.Trim(i.Namespace+"/"+i.Pod, "/")
	cells := []string{i.Name, i.Variant, shortDigest(i.Manifest), since, i.KeptBy, pod}
	if i.Today != nil {
		cells = append(cells, i.Today.line())
	}
	for n, cell := range cells {
		cells[n] = cmp.Or(decision.Line(cell), "-")
	}
	if i.Today != nil {
		cells[len(cells)-1] = b.Paint(styleOf(i.Today.Outcome), cells[len(cells)-1])
	}
	fmt.Fprintln(w, strings.Join(cells, "\t"))
}

// shortDigest is enough of a digest to tell it from others.
func shortDigest(d digest.Digest) string {
	const shown = len("sha256:") + 12
	return string(d[:min(len(d), shown)])
}
