package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/internal/wiring"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/containerd"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/hostfacts"
	"github.com/imagefit/imagefit/pkg/policy"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/selector"
)

// maxVerdict bounds the sentence that goes to containerd, which reads 32 KiB.
const maxVerdict = 4 << 10

// verifyCommand answers containerd as an image verifier.
type verifyCommand struct {
	name, digest, mediaType string
	signed                  bool
}

func newVerifyCommand() *cobra.Command {
	var c verifyCommand
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Refuse pulls of which no variant fits, as an image verifier of containerd",
		Long: `Verify is a program for the bin_dir of containerd's
io.containerd.image-verifier.v1.bindir (2.1 and later), which calls it before each
pull. It is for nodes that can have neither cri-proxy nor nri-plugin. Install a
link to imagefit there whose name is imagefit-verify.

It chooses nothing: containerd takes its own entry of the index. A pull is
refused if no entry fits this node, by the policy for the repository (mode,
no_fit). The sentence on stdout says why, or what could not be seen. Registries
are reached as on this node, without the credentials of the pull, which
containerd gives to no verifier: those of nri.credentials are sent.

Exit code 0: the pull continues, also if that could not be found out; 3: refused.`,
		Example: `  ln -s /usr/local/bin/imagefit /opt/containerd/image-verifier/bin/imagefit-verify
  imagefit verify -name registry.example/app:1 -digest sha256:... </dev/null`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	cmd.Flags().StringVar(&c.name, "name", "", "`REFERENCE` that is pulled")
	cmd.Flags().StringVar(&c.digest, "digest", "", "`DIGEST` that the reference resolved to")
	cmd.Flags().StringVar(&c.mediaType, "stdin-media-type", "", "media type of what is on stdin, which is not read")
	cmd.Flags().BoolVar(&c.signed, "signed", false, "refuse what no key of trust.keys signed, instead of what does not fit; also as a link named "+signedVerifier)
	_ = cmd.MarkFlagRequired("name") // it exists
	return cmd
}

// asVerifier returns the command line of a program that may be called as an image
// verifier: by its name, and with flags of one dash.
func asVerifier(program string, args []string) []string {
	if filepath.Base(program) == containerd.OwnVerifier {
		args = append([]string{"verify"}, args...)
	}
	if filepath.Base(program) == signedVerifier {
		args = append([]string{"verify", "--signed"}, args...)
	}
	if len(args) == 0 || args[0] != "verify" {
		return args
	}
	for i, arg := range args {
		switch arg {
		case "-name", "-digest", "-stdin-media-type":
			args[i] = "-" + arg
		}
	}
	return args
}

func (c verifyCommand) run(cmd *cobra.Command) error {
	verify := c.verify
	if c.signed {
		verify = c.verifySigned
	}
	sentence, refused := verify(cmd)
	if _, err := fmt.Fprintln(cmd.OutOrStdout(), textutil.Line("imagefit: "+sentence, maxVerdict)); err != nil {
		return err
	}
	if refused {
		return cli.ExitError(exitNoneFits)
	}
	return nil
}

// verify says in one sentence what is known of the image, and whether its pull is
// refused. Whatever keeps it from finding out refuses nothing, unless policy says so.
func (c verifyCommand) verify(cmd *cobra.Command) (sentence string, refused bool) {
	cfg, err := cli.LoadConfig(cmd)
	if err != nil {
		return fmt.Sprintf("%s is not checked: %s", c.name, err), false
	}
	log := cli.NewLogger(cmd.ErrOrStderr(), config.Text, slog.LevelError)
	runtime, err := containerd.Read(cfg.Runtime.Config)
	if err != nil {
		log.Error("cannot read the runtime's configuration completely", "file", cfg.Runtime.Config, "error", err)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), timeToVerify(cfg, runtime))
	defer cancel()
	answers := cfg.Policy.For(decision.RepositoryOf(c.name))
	enforced := policy.Effective{Answers: answers}.Enforced()
	d, err := c.decide(ctx, cfg, runtime, log)
	if err != nil {
		return c.undecided(err, answers)
	}
	action, _, reason := d.Action(answers)
	reason = strings.ReplaceAll(reason, d.Reference, c.name)
	switch {
	case action == policy.Refused && enforced:
		return reason, true
	case action == policy.Refused:
		return fmt.Sprintf("%s (mode %s: not refused)", reason, answers.Mode), false
	case d.Choice != decision.None && d.Default != decision.None && !d.AsRuntime():
		return fmt.Sprintf("%s, but the runtime takes %s", reason, takes(d)), false
	default:
		return reason, false
	}
}

// takes says what the runtime takes of itself.
func takes(d *decision.Decision) string {
	if c := d.Candidates[d.Default]; c.Outcome == selector.Unfit {
		return fmt.Sprintf("%s, which does not fit: it %s", d.Label(d.Default), c.Reason)
	}
	return d.Label(d.Default)
}

// undecided says what keeps the image from being checked. Only a registry that fails is
// a case of policy.
func (c verifyCommand) undecided(cause error, answers policy.Answers) (sentence string, refused bool) {
	failed, _ := errors.AsType[*registry.Error](cause)
	timedOut := errors.Is(cause, context.DeadlineExceeded)
	u := decision.Undecide(c.name, cause, answers)
	switch {
	case (failed != nil || timedOut) && u.Action == policy.Refused && (policy.Effective{Answers: answers}).Enforced():
		return u.Reason + " (policy.registry_error)", true
	case errors.Is(cause, registry.ErrUnauthorized):
		return fmt.Sprintf("%s is not checked: %s; containerd does not give the credentials of a pull to verifiers, nri.credentials may name a file with some", c.name, cause), false
	default:
		return fmt.Sprintf("%s is not checked: %s", c.name, cause), false
	}
}

// timeToVerify is how long the answer may take: less than containerd waits, which
// refuses the pull otherwise.
func timeToVerify(cfg config.Config, runtime containerd.Settings) time.Duration {
	return min(time.Duration(cfg.Proxy.SelectTimeout), runtime.VerifierTimeout*3/4)
}

// pulled is the reference by the digest that is pulled.
func (c verifyCommand) pulled() (reference.Named, error) {
	named, err := reference.ParseDockerRef(c.name)
	if err != nil {
		return nil, fmt.Errorf("read reference %q: %w", c.name, err)
	}
	if c.digest == "" {
		return named, nil
	}
	d, err := digest.Parse(c.digest)
	if err != nil {
		return nil, fmt.Errorf("read digest %q: %w", c.digest, err)
	}
	return reference.WithDigest(reference.TrimNamed(named), d)
}

// decide decides about the digest that is pulled, on the facts of this node.
func (c verifyCommand) decide(ctx context.Context, cfg config.Config, runtime containerd.Settings, log *slog.Logger) (*decision.Decision, error) {
	pulled, err := c.pulled()
	if err != nil {
		return nil, err
	}
	auth, err := registry.AuthFromFile(cfg.NRI.Credentials, pulled)
	if err != nil {
		return nil, err
	}
	path, tables := wiring.Hosts(cfg, runtime)
	reg := registry.New(registry.Options{
		HostsPath: path, Tables: tables, UserAgent: registry.UserAgent(cli.BuildVersion(version)), Log: log,
	})
	defer reg.Close()
	known, err := collect(ctx, hostfacts.NewRoot(cfg.Facts.Root))
	if err != nil {
		return nil, err
	}
	evaluator, err := wiring.Evaluator(cfg, known, runtime, log)
	if err != nil {
		return nil, err
	}
	request := decision.Request{Reference: pulled.String(), Auth: auth, Snapshot: evaluator.Snapshot()}
	return decision.NewResolver(evaluator, reg).Decide(ctx, request)
}
