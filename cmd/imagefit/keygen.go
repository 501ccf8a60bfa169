package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/author/sign"
)

// keygenCommand makes a pair of keys.
type keygenCommand struct {
	kind  string
	plain bool
}

func newKeygenCommand() *cobra.Command {
	var c keygenCommand
	cmd := &cobra.Command{
		Use:   "keygen [NAME]",
		Short: "Make a pair of keys to sign metadata with",
		Long: `Keygen writes a private key to NAME.key and the public key to NAME.pub (NAME is
"imagefit" by default). Existing files are not overwritten. The private key is
encrypted with a passphrase as cosign encrypts its keys, so that cosign can sign
with it too. The passphrase is read from the terminal or from COSIGN_PASSWORD.

Put NAME.pub into /etc/imagefit/keys.d on nodes, and keep NAME.key away from them.`,
		Example: `  imagefit keygen ops
  imagefit keygen ops --type ed25519`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.run(cmd, append(args, "imagefit")[0])
		},
	}
	c.kind = sign.Kinds()[0]
	cli.OneOf(cmd, &c.kind, "type", "", "kind of the key", sign.Kinds())
	cmd.Flags().BoolVar(&c.plain, "no-passphrase", false, "do not encrypt the private key")
	return cmd
}

func (c keygenCommand) run(cmd *cobra.Command, name string) error {
	for _, file := range []string{name + ".key", name + ".pub"} {
		if _, err := os.Lstat(file); err == nil {
			return fmt.Errorf("make keys: %s exists, and nothing is overwritten", file)
		}
	}
	secret, err := c.secret(cmd)
	if err != nil {
		return err
	}
	key, err := sign.Generate(c.kind)
	if err != nil {
		return err
	}
	private, err := key.Encode(secret)
	if err != nil {
		return err
	}
	public, err := key.PEM()
	if err != nil {
		return err
	}
	if err := writeNew(name+".key", private, 0o600); err != nil {
		return err
	}
	if err := writeNew(name+".pub", public, 0o644); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s.key\n%s.pub\n", name, name)
	return err
}

// secret asks for the passphrase, on a terminal twice.
func (c keygenCommand) secret(cmd *cobra.Command) ([]byte, error) {
	if c.plain {
		return nil, nil
	}
	first, err := passphrase(cmd, "Passphrase")
	if err != nil {
		return nil, fmt.Errorf("%w; --no-passphrase writes a key that is not encrypted", err)
	}
	again := first
	if _, ok := os.LookupEnv(passphraseVariable); !ok {
		if again, err = passphrase(cmd, "The same again"); err != nil {
			return nil, err
		}
	}
	switch {
	case !bytes.Equal(first, again):
		return nil, errors.New("the passphrases differ")
	case len(first) == 0:
		return nil, errors.New("the passphrase is empty; --no-passphrase writes a key that is not encrypted")
	}
	return first, nil
}

func writeNew(file string, content []byte, mode os.FileMode) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}
