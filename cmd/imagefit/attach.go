package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/author/attach"
	"github.com/imagefit/imagefit/pkg/author/sign"
	"github.com/imagefit/imagefit/pkg/compat/spec"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/index"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
	"github.com/imagefit/imagefit/pkg/trust"
)

// attachCommand pushes a compatibility artifact.
type attachCommand struct {
	platform                  string
	entry                     int
	dialect, layerType, specs string
	output                    cli.Output
	dryRun, replace, quiet    bool
	force                     bool
	signing                   signing
	statement                 bool
}

func newAttachCommand() *cobra.Command {
	var c attachCommand
	cmd := &cobra.Command{
		Use:   "attach IMAGE... FILE",
		Short: "Attach a compatibility artifact to an image in a registry",
		Long: `Attach pushes a file that says what an image needs as an OCI artifact whose
subject is the image. Where IMAGE is an index, the subject is the index, which
applies to each of its entries that has no artifact of the same type of its own;
--platform or --entry picks one entry instead.

The file is read first, as the dialect that its shape shows or that --dialect
names; "-" is stdin. What "imagefit lint" finds in it is printed, and a file with
errors, which could not work as meant, is not pushed unless --force is given.

Of several artifacts of one type (of artifact and layer) the newest is used; what
is attached already is kept, unless --replace is given. On a registry without the
referrers API the artifact is listed under the referrers tag.
Credentials are those of your container tools (docker login, podman login).

The digest of the artifact is printed. With several images, FILE is attached to
each of them, with a plan before and a summary behind, as "imagefit publish" does.`,
		Example: `  imagefit attach registry.example/app:1 needs.json
  imagefit attach registry.example/app:1 needs-v3.yaml --platform linux/amd64/v3
  imagefit attach registry.example/app@sha256:... needs.json --replace
  imagefit attach registry.example/app:1 needs.json --dry-run
  imagefit attach registry.example/a:1 registry.example/b:1 needs.json
  imagefit attach registry.example/app:1 needs.json --sign-key ops.key --statement`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			last := len(args) - 1
			if last > 1 {
				return c.several(cmd, args[:last], args[last])
			}
			return c.run(cmd, args[0], args[last])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&c.platform, "platform", "", "pick the entry of the index for this platform, such as linux/amd64/v3")
	flags.IntVar(&c.entry, "entry", attach.None, `pick the entry of the index at this position, as "imagefit list" numbers them`)
	cli.OneOf(cmd, &c.dialect, "dialect", "", "read the file as this dialect, not as its shape says", dialectNames())
	flags.StringVar(&c.layerType, "layer-type", "", "media type of the layer, where the dialect has several (default: its first)")
	flags.BoolVar(&c.dryRun, "dry-run", false, "print the manifest and push nothing")
	flags.BoolVar(&c.replace, "replace", false, "delete what is attached of the same type")
	flags.BoolVar(&c.force, "force", false, "push a file in which lint finds errors")
	flags.BoolVarP(&c.quiet, "quiet", "q", false, "do not say what is being done")
	c.signing.flags(cmd, "sign-key")
	flags.BoolVar(&c.statement, "statement", false, "attach one signed statement that has the description in it, instead of an artifact and its signature")
	specsFlag(cmd, &c.specs)
	c.output.AddFlag(cmd, cli.Text, cli.JSON)
	return cmd
}

// several attaches one file to several images.
func (c attachCommand) several(cmd *cobra.Command, images []string, file string) error {
	if c.entry != attach.None {
		return errors.New("--entry picks an entry of one image: with several images, use --platform")
	}
	if c.signing.wanted() || c.statement {
		return errors.New("--sign-key, --sign-command and --statement are for one image")
	}
	if c.platform != "" {
		file += "=" + c.platform
	}
	p := publishCommand{
		bodies: []string{file}, noBase: true, specs: c.specs, readAs: c.dialect, layerType: c.layerType,
		dryRun: c.dryRun, replace: c.replace, force: c.force, quiet: c.quiet, output: c.output,
	}
	return p.run(cmd, images)
}

// attached is what was done, as -o json prints it.
type attached struct {
	Reference    string        `json:"reference"`
	Digest       digest.Digest `json:"digest"` // of the artifact
	Subject      digest.Digest `json:"subject"`
	Platform     string        `json:"platform,omitempty"` // of the subject, where it is an entry
	Dialect      string        `json:"dialect"`
	ArtifactType string        `json:"artifactType"`
	LayerType    string        `json:"layerType"`
	Created      time.Time     `json:"created"`
	ReferrersTag bool          `json:"referrersTag"` // the registry has no referrers API
	attach.Replaced
	Signature digest.Digest `json:"signature,omitempty"` // the artifact that carries it
	Notes     []string      `json:"notes,omitempty"`
}

// work is one run of attach: what it works on, and whom it tells.
type work struct {
	attachCommand
	place
	interpreter *spec.Interpreter
	step        func(string)
	by          sign.Signer // nil where nothing is to be signed
	result      attached
}

func (c attachCommand) run(cmd *cobra.Command, image, file string) error {
	w := work{attachCommand: c, step: func(string) {}}
	if !c.quiet {
		w.step = func(text string) { cmd.PrintErrln(text) }
	}
	if c.statement && !c.signing.wanted() {
		return errors.New("--statement needs --sign-key or --sign-command")
	}
	specs, err := loadSpecs(cmd, c.specs)
	if err != nil {
		return err
	}
	if c.signing.wanted() && !c.dryRun {
		if w.by, err = c.signing.signer(cmd); err != nil {
			return err
		}
	}
	w.interpreter = spec.NewInterpreter(specs)
	reader := bodyReader{
		cmd: cmd, specs: specs, interpreter: w.interpreter, dialect: c.dialect, layerType: c.layerType,
		force: c.force, step: w.step, note: w.note,
	}
	body, err := reader.open(file)
	if err != nil {
		return err
	}
	reg := registry.New(registry.Options{UserAgent: registry.UserAgent(cli.BuildVersion(version))})
	defer reg.Close()
	// Reading goes to the registry itself as pushing does: a mirror may not know
	// yet what is there.
	if w.place, err = find(cmd.Context(), reg, image); err != nil {
		return err
	}
	manifest, err := w.attach(cmd.Context(), body)
	for _, note := range w.result.Notes {
		cmd.PrintErrln("note: " + note)
	}
	if err != nil {
		return err
	}
	if c.dryRun {
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", manifest)
		return err
	}
	return c.output.Print(cmd, w.result, func(b *cli.Console) { b.WriteString(w.result.Digest.String() + "\n") })
}

// attach does the work and returns the manifest.
func (w *work) attach(ctx context.Context, body attach.Body) ([]byte, error) {
	w.step(fmt.Sprintf("resolve %s", w.named))
	img, err := attach.ReadImage(ctx, w.repo, w.named)
	if err != nil {
		return nil, err
	}
	subject, err := img.Subject(w.platform, w.entry)
	if err != nil {
		return nil, err
	}
	w.step("the subject is " + subjectName(img, subject))
	there, err := attach.Attached(ctx, w.repo, subject, w.interpreter)
	if err != nil {
		return nil, err
	}
	if there.Unopened > 0 {
		w.note("%d referrers were not read, only the newest %d are", there.Unopened, referrers.MaxOpened)
	}
	now := time.Now()
	created := there.After(body.Kind(), now)
	if created.After(now.Add(time.Minute)) { // not a matter of two pushes in one second
		w.note("what is attached already claims to be newer: this artifact is dated %s, or it would not be used", created.Format(time.RFC3339))
	}
	packed, err := w.pack(body, subject, created)
	if err != nil {
		return nil, err
	}
	w.result.Reference, w.result.Created = w.named.String(), packed.Created
	w.result.Digest, w.result.Subject = packed.Descriptor.Digest, subject.Descriptor.Digest
	w.result.Dialect, w.result.ArtifactType, w.result.LayerType = body.Dialect.Name, body.ArtifactType, body.LayerType
	if subject.Entry != attach.None {
		w.result.Platform = index.PlatformName(subject.Descriptor.Platform)
	}
	if w.dryRun {
		return packed.Manifest, nil
	}
	return packed.Manifest, w.push(ctx, subject, packed, there)
}

// pack makes the artifact, or the one that carries a signed statement.
func (w *work) pack(body attach.Body, subject attach.Subject, created time.Time) (attach.Packed, error) {
	if !w.statement || w.by == nil {
		return attach.Pack(body, subject, created)
	}
	if !json.Valid(body.Bytes) {
		return attach.Packed{}, errors.New("a statement has its description as JSON, and the file is YAML: write it as JSON, or leave out --statement")
	}
	bundle, err := sign.Description(w.by, subject.Descriptor.Digest, trust.Compatibility{
		ArtifactType: body.ArtifactType, MediaType: body.LayerType, Created: created, Description: body.Bytes,
	})
	if err != nil {
		return attach.Packed{}, err
	}
	return attach.PackBundle(bundle, trust.PredicateCompatibility, subject.Descriptor, created)
}

func subjectName(img *attach.Image, s attach.Subject) string {
	switch {
	case s.Entry != attach.None:
		return fmt.Sprintf("entry %d of the index, %s, %s", s.Entry, index.PlatformName(s.Descriptor.Platform), s.Descriptor.Digest)
	case img.IsIndex():
		return fmt.Sprintf("the index itself, of %d images, %s (pick one with --platform)", len(img.Subjects()), s.Descriptor.Digest)
	default:
		return fmt.Sprintf("the image, %s", s.Descriptor.Digest)
	}
}

func (w *work) push(ctx context.Context, subject attach.Subject, packed attach.Packed, there attach.Holder) error {
	target := attach.NewTarget(w.named, w.auth, registry.UserAgent(cli.BuildVersion(version)))
	defer target.Close()
	if err := target.Push(ctx, packed, w.step); err != nil {
		return err
	}
	if w.by != nil && !w.statement {
		w.step("sign the artifact")
		var err error
		if w.result.Signature, err = pushSignature(ctx, target, w.by, packed.Descriptor); err != nil {
			return fmt.Errorf("%s is attached and not signed: %w", packed.Descriptor.Digest, err)
		}
	}
	if w.result.ReferrersTag = target.UsedTag(); w.result.ReferrersTag {
		w.step("the registry has no referrers API: the artifact is listed under the referrers tag")
	}
	old := there.OfType(referrers.Kind{Artifact: w.result.ArtifactType, Layer: w.result.LayerType})
	if !w.replace {
		if len(old) > 0 {
			w.step(fmt.Sprintf("%d older of this type stay attached and are no longer used", len(old)))
		}
		return nil
	}
	var err error
	w.result.Replaced, err = target.Replace(ctx, w.repo, subject, old, w.step)
	if n := len(w.result.Superseded); n > 0 {
		w.note("%d older of this type stay attached, for the registry does not delete (%s); the new artifact is used, being newer", n, w.result.Why)
	}
	if err != nil {
		return fmt.Errorf("%s is attached, what it replaces may still be: %w", packed.Descriptor.Digest, err)
	}
	return nil
}

func (w *work) note(format string, args ...any) {
	w.result.Notes = append(w.result.Notes, fmt.Sprintf(format, args...))
}
