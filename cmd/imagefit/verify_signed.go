package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/wiring"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/containerd"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/trust"
)

// signedVerifier is the name under which imagefit is an image verifier that wants
// signatures.
const signedVerifier = "imagefit-verify-signed"

// verifySigned says whether what is pulled is signed by a trusted key, itself or as a
// variant of a signed index. What cannot be found out is refused, as with any verifier.
func (c verifyCommand) verifySigned(cmd *cobra.Command) (sentence string, refused bool) {
	by, err := c.signedBy(cmd)
	if err != nil {
		return fmt.Sprintf("%s is refused: %s", c.name, err), true
	}
	return fmt.Sprintf("%s %s", c.name, by), false
}

func (c verifyCommand) signedBy(cmd *cobra.Command) (string, error) {
	cfg, err := cli.LoadConfig(cmd)
	if err != nil {
		return "", err
	}
	log := cli.NewLogger(cmd.ErrOrStderr(), config.Text, slog.LevelError)
	runtime, err := containerd.Read(cfg.Runtime.Config)
	if err != nil {
		log.Error("cannot read the runtime's configuration completely", "file", cfg.Runtime.Config, "error", err)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), timeToVerify(cfg, runtime))
	defer cancel()
	named, err := reference.ParseDockerRef(c.name)
	if err != nil {
		return "", fmt.Errorf("read reference %q: %w", c.name, err)
	}
	pulled, err := digest.Parse(c.digest)
	if err != nil {
		return "", fmt.Errorf("read digest %q: %w", c.digest, err)
	}
	evaluator, err := wiring.Evaluator(cfg, facts.New("", "", facts.NewFeatures()), nil, log)
	if err != nil {
		return "", err
	}
	rules := *evaluator.Snapshot().Rules
	rule := *rules.Trust.For(named.Name())
	if rule.Signed = true; len(rule.Keys) == 0 {
		return "", errors.New("no public key is trusted (trust.keys)")
	}
	if of, by, ok := evaluator.Vouched(evaluator.Snapshot(), named.Name(), pulled); ok {
		return fmt.Sprintf("is a variant of the index %s, signed by %s", of, by), nil
	}
	rules.Trust = &trust.Rules{Rule: rule}
	return c.askRegistry(ctx, cfg, runtime, evaluator, &rules, log)
}

// askRegistry finds out whether the registry has a signature of what is pulled.
func (c verifyCommand) askRegistry(
	ctx context.Context, cfg config.Config, runtime containerd.Settings, evaluator *decision.Evaluator, rules *decision.Rules, log *slog.Logger,
) (string, error) {
	pulled, err := c.pulled()
	if err != nil {
		return "", err
	}
	auth, err := registry.AuthFromFile(cfg.NRI.Credentials, pulled)
	if err != nil {
		return "", err
	}
	path, tables := wiring.Hosts(cfg, runtime)
	reg := registry.New(registry.Options{
		HostsPath: path, Tables: tables, UserAgent: registry.UserAgent(cli.BuildVersion(version)), Log: log,
	})
	defer reg.Close()
	request := decision.GatherRequest{Reference: pulled.String(), Auth: auth, Rules: rules}
	by, unsigned, err := decision.NewResolver(evaluator, reg).Signer(ctx, request)
	switch {
	case err != nil:
		return "", err
	case by == nil:
		return "", errors.New(unsigned)
	}
	return "is signed by " + by.Name, nil
}
