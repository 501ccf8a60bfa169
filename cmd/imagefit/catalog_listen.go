package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/pkg/catalog"
	"github.com/imagefit/imagefit/pkg/config"
)

// catalogListen takes notifications.
type catalogListen struct {
	*database
	address, secretFile, registry, cert, key string
}

// secretEnv has the secret where --secret-file does not name a file.
const secretEnv = "IMAGEFIT_CATALOG_SECRET"

const (
	maxSecretFile  = 4 << 10
	minSecret      = 16
	requestTime    = 30 * time.Second
	shutdownTime   = 5 * time.Second
	maxEventHeader = 16 << 10
)

func newCatalogListenCommand(db *database) *cobra.Command {
	c := catalogListen{database: db}
	cmd := &cobra.Command{
		Use: "listen", Short: "Take the notifications of registries about what changed", Args: cobra.NoArgs,
		Long: `Listen serves HTTP for the notifications of distribution, the events of zot and
the webhooks of Harbor. It only writes down which names changed, of registries
that are sources of the catalog; "imagefit catalog sync --pending" looks at
these. Senders need the secret: as a bearer token, as the password of any user,
or as the whole header Authorization.`,
		Example: `  imagefit catalog listen --address :8085 --secret-file /etc/imagefit/catalog.secret
  imagefit catalog listen --registry registry.example --tls-cert tls.crt --tls-key tls.key`,
		RunE: c.run,
	}
	cmd.Flags().StringVar(&c.address, "address", "127.0.0.1:8085", "address to listen at")
	cmd.Flags().StringVar(&c.secretFile, "secret-file", "", "file with the secret (else $"+secretEnv+")")
	cmd.Flags().StringVar(&c.registry, "registry", "", "whose notifications these are, as its images are named")
	cmd.Flags().StringVar(&c.cert, "tls-cert", "", "certificate for HTTPS")
	cmd.Flags().StringVar(&c.key, "tls-key", "", "key of the certificate")
	return cmd
}

func (c *catalogListen) secret() (string, error) {
	secret := os.Getenv(secretEnv)
	if c.secretFile != "" {
		text, err := fsutil.ReadFile(c.secretFile, maxSecretFile)
		if err != nil {
			return "", fmt.Errorf("read --secret-file: %w", err)
		}
		secret = string(text)
	}
	if secret = strings.TrimSpace(secret); len(secret) < minSecret {
		return "", fmt.Errorf("a secret of %d characters or more is needed, in --secret-file or $%s", minSecret, secretEnv)
	}
	return secret, nil
}

func (c *catalogListen) run(cmd *cobra.Command, _ []string) error {
	secret, err := c.secret()
	if err != nil {
		return err
	}
	if (c.cert == "") != (c.key == "") {
		return errors.New("--tls-cert and --tls-key belong together")
	}
	db, _, err := c.open(cmd, false)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	log := cli.NewLogger(cmd.ErrOrStderr(), config.Auto, slog.LevelInfo)
	listener, err := new(net.ListenConfig).Listen(cmd.Context(), "tcp", c.address)
	if err != nil {
		return err
	}
	log.Info("waiting for notifications", "address", listener.Addr().String(), "tls", c.cert != "")
	server := &http.Server{
		Handler:     &catalog.Listener{Catalog: db, Secret: secret, Registry: c.registry, Log: log},
		ReadTimeout: requestTime, ReadHeaderTimeout: requestTime, WriteTimeout: requestTime, IdleTimeout: requestTime, MaxHeaderBytes: maxEventHeader,
	}
	done := make(chan error, 1)
	go func() {
		if c.cert != "" {
			done <- server.ServeTLS(listener, c.cert, c.key)
		} else {
			done <- server.Serve(listener)
		}
	}()
	select {
	case err := <-done:
		return err
	case <-cmd.Context().Done():
		ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), shutdownTime)
		defer cancel()
		return server.Shutdown(ctx)
	}
}
