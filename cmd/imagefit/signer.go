package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec" //nolint:depguard // the tool, not a daemon, where the person asks for it by name
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/pkg/author/sign"
	"github.com/imagefit/imagefit/pkg/trust"
)

const (
	// passphraseVariable is the variable that cosign reads too.
	passphraseVariable = "COSIGN_PASSWORD"
	// maxSignature bounds what a command may answer.
	maxSignature = 64 << 10
)

// signing says with what is signed.
type signing struct{ key, command string }

func (s *signing) flags(cmd *cobra.Command, keyFlag string) {
	cmd.Flags().StringVar(&s.key, keyFlag, "", "sign with the private key in `FILE`: PEM, or a key of cosign's or keygen's; the passphrase is read from the terminal or from "+passphraseVariable)
	cmd.Flags().StringVar(&s.command, "sign-command", "", "sign with `COMMAND`, run by sh: it gets what is to be signed on stdin, and prints the signature in base64")
	cmd.MarkFlagsMutuallyExclusive(keyFlag, "sign-command")
}

// wanted reports whether anything is to be signed.
func (s signing) wanted() bool { return s.key != "" || s.command != "" }

// signer returns what signs.
func (s signing) signer(cmd *cobra.Command) (sign.Signer, error) {
	if s.command != "" {
		return commandSigner{cmd, s.command}, nil
	}
	text, err := fsutil.ReadFile(s.key, trust.MaxKeyFile)
	if err != nil {
		return nil, fmt.Errorf("read private key: %w", err)
	}
	key, err := sign.Parse(text, func() ([]byte, error) { return passphrase(cmd, "Passphrase of "+filepath.Base(s.key)) })
	if err != nil {
		return nil, fmt.Errorf("read private key %s: %w", s.key, err)
	}
	return key, nil
}

// passphrase reads a passphrase from the environment or the terminal.
func passphrase(cmd *cobra.Command, prompt string) ([]byte, error) {
	if secret, ok := os.LookupEnv(passphraseVariable); ok {
		return []byte(secret), nil
	}
	stdin, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(stdin.Fd())) {
		return nil, errors.New("a passphrase is needed: set " + passphraseVariable + ", or run it on a terminal")
	}
	cmd.PrintErr(prompt + ": ")
	secret, err := term.ReadPassword(int(stdin.Fd()))
	cmd.PrintErrln()
	return secret, err
}

// commandSigner lets a program sign, such as one for a key in a cloud or a token.
type commandSigner struct {
	cmd     *cobra.Command
	command string
}

// Hint implements sign.Signer.
func (commandSigner) Hint() string { return "" }

// Sign implements sign.Signer.
func (s commandSigner) Sign(message []byte) ([]byte, error) {
	run := exec.CommandContext(s.cmd.Context(), "sh", "-c", s.command)
	var out bytes.Buffer
	run.Stdin, run.Stdout, run.Stderr = bytes.NewReader(message), &out, s.cmd.ErrOrStderr()
	if err := run.Run(); err != nil {
		return nil, fmt.Errorf("run --sign-command: %w", err)
	}
	text := bytes.TrimSpace(out.Bytes())
	if len(text) == 0 || len(text) > maxSignature {
		return nil, fmt.Errorf("--sign-command printed %d bytes, expected a signature in base64", len(text))
	}
	signature, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil {
		return nil, fmt.Errorf("--sign-command printed no valid base64: %w", err)
	}
	return signature, nil
}
