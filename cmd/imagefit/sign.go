package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/author/attach"
	"github.com/imagefit/imagefit/pkg/author/sign"
	"github.com/imagefit/imagefit/pkg/compat/spec"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/trust"
)

// signCommand signs what is in a registry.
type signCommand struct {
	signing   signing
	artifacts bool
	specs     string
	output    cli.Output
}

func newSignCommand() *cobra.Command {
	var c signCommand
	cmd := &cobra.Command{
		Use:   "sign REFERENCE",
		Short: "Sign an image, an index or an artifact in a registry",
		Long: `Sign signs the manifest that REFERENCE names, as cosign 3 does, and attaches the
signature to it as a Sigstore bundle. Nodes with the public key and trust.metadata
= "signed" then use an artifact that is signed, or what a signed index states.

With --artifacts the compatibility artifacts that are used are signed too: those
of the index and of its entries. What is attached afterwards is not signed.

The digests of the signatures are printed. Credentials are those of your container
tools (docker login, podman login).`,
		Example: `  imagefit sign registry.example/app:1 --key ops.key --artifacts
  imagefit sign registry.example/app@sha256:... --key cosign.key
  imagefit sign registry.example/app:1 --sign-command 'openssl pkeyutl -sign -inkey ops.pem -rawin | base64 -w0'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd, args[0]) },
	}
	c.signing.flags(cmd, "key")
	cmd.MarkFlagsOneRequired("key", "sign-command")
	cmd.Flags().BoolVar(&c.artifacts, "artifacts", false, "sign the compatibility artifacts that are used too")
	specsFlag(cmd, &c.specs)
	c.output.AddFlag(cmd, cli.Text, cli.JSON)
	return cmd
}

// signed is a signature that was made, as -o json prints it.
type signed struct {
	Subject   digest.Digest `json:"subject"`
	Signature digest.Digest `json:"signature"` // the artifact that carries it
}

func (c signCommand) run(cmd *cobra.Command, image string) error {
	by, err := c.signing.signer(cmd)
	if err != nil {
		return err
	}
	in, err := interpreter(cmd, c.specs)
	if err != nil {
		return err
	}
	reg := registry.New(registry.Options{UserAgent: registry.UserAgent(cli.BuildVersion(version))})
	defer reg.Close()
	at, err := find(cmd.Context(), reg, image)
	if err != nil {
		return err
	}
	subjects, err := c.subjects(cmd.Context(), at, in)
	if err != nil {
		return err
	}
	target := attach.NewTarget(at.named, at.auth, registry.UserAgent(cli.BuildVersion(version)))
	defer target.Close()
	var all []signed
	for _, subject := range subjects {
		d, err := pushSignature(cmd.Context(), target, by, subject)
		if err != nil {
			return errors.Join(err, fmt.Errorf("%d of %d were signed", len(all), len(subjects)))
		}
		all = append(all, signed{subject.Digest, d})
	}
	return c.output.Print(cmd, all, func(b *cli.Console) {
		for _, one := range all {
			fmt.Fprintln(b, one.Signature)
		}
	})
}

// subjects are what is to be signed.
func (c signCommand) subjects(ctx context.Context, at place, in *spec.Interpreter) ([]ocispec.Descriptor, error) {
	img, err := attach.ReadImage(ctx, at.repo, at.named)
	if err != nil {
		return nil, err
	}
	subjects := []ocispec.Descriptor{img.Top}
	if !c.artifacts {
		return subjects, nil
	}
	listing, err := attach.List(ctx, at.repo, img, in, nil)
	if err != nil {
		return nil, err
	}
	seen := map[digest.Digest]bool{}
	for _, holder := range append([]attach.Holder{listing.Holder}, listing.Entries...) {
		for _, artifact := range holder.Used() {
			if !seen[artifact.Digest] {
				seen[artifact.Digest] = true
				subjects = append(subjects, artifact)
			}
		}
	}
	return subjects, nil
}

// pushSignature signs a manifest and attaches the signature.
func pushSignature(ctx context.Context, target *attach.Target, by sign.Signer, subject ocispec.Descriptor) (digest.Digest, error) {
	bundle, err := sign.Digest(by, subject.Digest)
	if err != nil {
		return "", fmt.Errorf("sign %s: %w", subject.Digest, err)
	}
	packed, err := attach.PackBundle(bundle, trust.PredicateSignature, subject, time.Now())
	if err != nil {
		return "", err
	}
	return packed.Descriptor.Digest, target.Push(ctx, packed, func(string) {})
}
