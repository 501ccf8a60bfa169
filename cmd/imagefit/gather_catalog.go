package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/catalog"
	"github.com/imagefit/imagefit/pkg/decision"
)

// needsFlags are those of commands that read what images need: from registries, or with
// --catalog from a catalog.
type needsFlags struct{ catalog, where string }

func (f *needsFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.catalog, "catalog", "", "read what images need from this catalog, and ask no registry: a `FILE` or postgres:// URL, as --db of the catalog commands; "+
		"without images, all of the catalog")
	cmd.Flags().StringVar(&f.where, "where", "", `with --catalog and without images: only images that match this query, such as 'name ~ "*lammps*"'`)
}

// fromCatalog reports whether a catalog is read.
func (f *needsFlags) fromCatalog(cmd *cobra.Command) bool { return cmd.Flags().Changed("catalog") }

// validate checks the flags; named tells whether images are.
func (f *needsFlags) validate(cmd *cobra.Command, named bool) error {
	switch {
	case f.where != "" && !f.fromCatalog(cmd):
		return errors.New("--where selects images of a catalog: give --catalog, too")
	case f.where != "" && named:
		return errors.New("--where selects among all images of the catalog: leave it out where images are named")
	}
	return nil
}

// open returns what reads the needs of images; whoever calls it closes it.
func (f *needsFlags) open(cmd *cobra.Command) (*gatherer, error) {
	if !f.fromCatalog(cmd) {
		cfg, err := cli.LoadUserConfig(cmd)
		if err != nil {
			return nil, err
		}
		return openRegistries(cmd, cfg)
	}
	what, err := catalog.ParseExpression(f.where)
	if err != nil {
		return nil, syntaxError(cmd, err)
	}
	db := database{f.catalog}
	c, cfg, err := db.open(cmd, true)
	if err != nil {
		return nil, fmt.Errorf("--catalog: %w", err)
	}
	on, err := newOnCatalog(cmd, cfg, c)
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return &gatherer{on, &fromCatalog{c, on, what, cmd.ErrOrStderr()}}, nil
}

// fromCatalog reads what images need from a catalog.
type fromCatalog struct {
	catalog *catalog.Catalog
	on      *onNodes
	what    *catalog.Expression // without references
	stderr  io.Writer
}

func (r *fromCatalog) close() { _ = r.catalog.Close() }

func (r *fromCatalog) gather(ctx context.Context, references []string) ([]gathered, error) {
	var found []catalog.Named
	var err error
	if len(references) > 0 {
		found, err = r.catalog.Named(ctx, references, r.on.rules)
	} else {
		found, err = r.catalog.EachName(ctx, r.what, r.on.rules)
	}
	all := make([]gathered, len(found))
	for i, image := range found {
		all[i] = gathered{image.Name, image.Needs, image.Err}
	}
	if err != nil {
		return nil, err
	}
	return all, r.warn(ctx)
}

// warn tells of which sources the catalog may lack what is there today.
func (r *fromCatalog) warn(ctx context.Context) error {
	sources, err := r.catalog.Sources(ctx)
	for _, s := range sources {
		since := "never"
		if !s.Synced.IsZero() {
			since = s.Synced.Format(time.DateTime + " UTC")
		}
		switch {
		case s.Error != "":
			_, _ = fmt.Fprintf(r.stderr, "imagefit: the catalog may be out of date: its last sync could not read all of %s (read as a whole: %s): %s\n", s, since, decision.Line(s.Error))
		case s.Synced.IsZero():
			_, _ = fmt.Fprintf(r.stderr, "imagefit: the catalog may lack images of %s: no sync has read all of it\n", s)
		}
	}
	return err
}
