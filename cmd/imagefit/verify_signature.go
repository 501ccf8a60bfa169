package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/wiring"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
	"github.com/imagefit/imagefit/pkg/trust"
)

// exitUnsigned is the exit code where something is not signed.
const exitUnsigned = 3

// verifySignatureCommand shows what is signed by whom.
type verifySignatureCommand struct {
	keys   []string
	output cli.Output
}

func newVerifySignatureCommand() *cobra.Command {
	var c verifySignatureCommand
	cmd := &cobra.Command{
		Use:   "verify-signature IMAGE",
		Short: "Show what of an image and its metadata is signed by whom",
		Long: `Verify-signature shows an image as a tree: the index, its entries, and the
compatibility artifacts of each, with the key that signed it or why none did. The
keys are those of trust.keys for the image's repository, or those of --key; of
--key any may have signed.

Exit code 0: all compatibility artifacts are signed, and the index if there is
one; 3: something is not.`,
		Example: `  imagefit verify-signature registry.example/app:1
  imagefit verify-signature registry.example/app:1 --key ops.pub`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd, args[0]) },
	}
	cmd.Flags().StringArrayVar(&c.keys, "key", nil, "trust the public keys in `FILE`, instead of those of the configuration; can be repeated")
	c.output.AddFlag(cmd, cli.Text, cli.JSON)
	return cmd
}

// signature is what is known of the signature of something, as -o json prints it.
type signature struct {
	Digest   digest.Digest `json:"digest"`
	Kind     string        `json:"kind"` // index, image, artifact or statement
	Platform string        `json:"platform,omitempty"`
	SignedBy string        `json:"signed_by,omitempty"`
	Unsigned string        `json:"unsigned,omitempty"` // why no trusted key signed it
	Below    []signature   `json:"below,omitempty"`
}

func (c verifySignatureCommand) run(cmd *cobra.Command, image string) error {
	cfg, err := cli.LoadUserConfig(cmd)
	if err != nil {
		return err
	}
	rule, err := c.rule(cfg.Trust, decision.RepositoryOf(image))
	if err != nil {
		return err
	}
	e, err := newExplainer(newTrace(cmd.ErrOrStderr(), false), cfg, facts.New("", "", facts.NewFeatures()), false)
	if err != nil {
		return err
	}
	defer e.registry.Close()
	_, auth, err := toolAuth(cmd.Context(), image)
	if err != nil {
		return err
	}
	rules := *e.evaluator.Snapshot().Rules
	// What the registry has now is shown.
	rules.Trust, rules.ReferrersTTL, rules.OnlyPresent = &trust.Rules{Rule: *rule}, 0, true
	needs, err := decision.NewResolver(e.evaluator, e.registry).Gather(cmd.Context(), decision.GatherRequest{Reference: image, Auth: auth, Rules: &rules})
	if err != nil {
		return err
	}
	if needs.Unread != "" {
		return fmt.Errorf("verify %s: %s", needs.Reference, needs.Unread)
	}
	top, whole := signaturesOf(needs)
	if err := c.output.Print(cmd, top, func(b *cli.Console) {
		b.WriteString(needs.Reference + "  " + top.line() + "\n")
		draw(&b.Builder, top.branches(), "")
	}); err != nil {
		return err
	}
	if !whole {
		return cli.ExitError(exitUnsigned)
	}
	return nil
}

// rule says whose signatures count. That they are looked for does not depend on the
// configuration.
func (c verifySignatureCommand) rule(cfg config.Trust, repository string) (*trust.Rule, error) {
	var problems []error
	rules := &trust.Rules{}
	if len(c.keys) > 0 {
		rules.Keys, problems = wiring.TrustedKeys(c.keys)
	} else {
		rules, problems = wiring.Trust(cfg)
	}
	rule := *rules.For(repository)
	if rule.Signed = true; len(rule.Keys) == 0 {
		return nil, errors.Join(append(problems, errors.New("no public key is given: use --key, or trust.keys of the configuration"))...)
	}
	return &rule, nil
}

// signaturesOf makes the tree of an image. It reports whether everything is signed that
// needs to be.
func signaturesOf(n *decision.Needs) (top signature, whole bool) {
	whole = true
	of := func(d digest.Digest) []signature {
		var all []signature
		for _, a := range n.Attached[d] {
			one := signature{Digest: cmp.Or(a.Manifest, a.Layer), Kind: "artifact"}
			if a.Statement {
				one.Kind = "statement"
			}
			one.by(a.Signer, cmp.Or(a.Unsigned, a.Problem))
			whole = whole && one.SignedBy != ""
			all = append(all, one)
		}
		return all
	}
	top = signature{Digest: n.Top.Digest, Kind: "image", Below: of(n.Top.Digest)}
	if len(n.Entries) == 1 && n.Entries[0].Listed.Digest == n.Top.Digest {
		return top, whole
	}
	top.Kind = "index"
	top.by(n.Signer, n.Unsigned)
	whole = whole && top.SignedBy != ""
	platforms := map[digest.Digest]string{}
	n.Images(func(d digest.Digest, platform string) { platforms[d] = platform })
	for _, d := range slices.Sorted(maps.Keys(platforms)) {
		if below := of(d); len(below) > 0 {
			top.Below = append(top.Below, signature{Digest: d, Kind: "image", Platform: platforms[d], Below: below})
		}
	}
	return top, whole
}

func (s *signature) by(signer *referrers.Signer, unsigned string) {
	if signer != nil {
		s.SignedBy = signer.Name
	} else {
		s.Unsigned = cmp.Or(unsigned, "unsigned")
	}
}

// line is what the tree says of it.
func (s signature) line() string {
	words := []string{s.Kind, s.Platform, s.Digest.String()}
	switch {
	case s.SignedBy != "":
		words = append(words, "signed by "+printable(s.SignedBy))
	case s.Unsigned != "":
		words = append(words, s.Unsigned)
	}
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), "  ")
}

func (s signature) branches() []branch {
	var all []branch
	for _, below := range s.Below {
		all = append(all, branch{below.line(), below.branches()})
	}
	return all
}
