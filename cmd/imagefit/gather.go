package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/nodeclass"
	"github.com/imagefit/imagefit/pkg/placement"
)

const (
	// maxImageList bounds a file with references.
	maxImageList = 4 << 20
	// gatheredAtOnce bounds the images that are read from registries at the same time.
	gatheredAtOnce = 8
)

// gathered is an image that was asked about: what it needs, or why that is not known.
type gathered struct {
	reference string
	needs     *decision.Needs
	err       error
}

// imagesFlag reads references from arguments and a file.
func imagesFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "images", "", `a file with one reference in each line, "-" for stdin; empty lines and those that begin with # are skipped`)
}

func references(cmd *cobra.Command, args []string, file string) ([]string, error) {
	list := append([]string{}, args...)
	if file == "" {
		return list, nil
	}
	text, err := readBounded(file, cmd.InOrStdin(), maxImageList)
	if err != nil {
		return nil, fmt.Errorf("read --images: %w", err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if line := strings.TrimSpace(lines.Text()); line != "" && line[0] != '#' {
			list = append(list, line)
		}
	}
	return list, nil
}

// gatherer reads what images need, and evaluates that on nodes.
type gatherer struct {
	*onNodes
	needsReader
}

// needsReader reads what images need. An image that cannot be read does not keep the
// others from being read.
type needsReader interface {
	gather(ctx context.Context, references []string) ([]gathered, error)
	close()
}

// fromRegistries reads what images need from their registries.
type fromRegistries struct {
	*explainer
	rules    *decision.Rules
	resolver *decision.Resolver
	stderr   io.Writer // for progress
}

// openRegistries returns a gatherer that asks registries; whoever calls it closes it.
func openRegistries(cmd *cobra.Command, cfg config.Config) (*gatherer, error) {
	e, err := newExplainer(newTrace(cmd.ErrOrStderr(), false), cfg, facts.New("linux", "", facts.NewFeatures()), false)
	if err != nil {
		return nil, err
	}
	rules := e.evaluator.Snapshot().Rules
	on := &onNodes{rules, e.evaluator, placement.New(e.evaluator, rules)}
	return &gatherer{on, &fromRegistries{e, rules, decision.NewResolver(e.evaluator, e.registry), cmd.ErrOrStderr()}}, nil
}

func (r *fromRegistries) close() { r.registry.Close() }

func (r *fromRegistries) gather(ctx context.Context, references []string) ([]gathered, error) {
	all := make([]gathered, len(references))
	read := new(atomic.Int64)
	defer tellImages(r.stderr, read, len(references))()
	group, reading := errgroup.WithContext(ctx)
	group.SetLimit(gatheredAtOnce)
	for i, reference := range references {
		group.Go(func() error {
			all[i].reference = reference
			_, auth, err := toolAuth(reading, reference)
			if err == nil {
				all[i].needs, err = r.resolver.Gather(reading, decision.GatherRequest{Reference: reference, Auth: auth, Rules: r.rules})
			}
			all[i].err = err
			read.Add(1)
			return reading.Err()
		})
	}
	return all, group.Wait()
}

// tellImages tells how many images were read, until what it returns is called.
func tellImages(stderr io.Writer, read *atomic.Int64, all int) (stop func()) {
	return cli.Progress(stderr, func() string { return fmt.Sprintf("asked registries about %d of %d images", read.Load(), all) })
}

// known returns the images that were read.
func known(all []gathered) []*decision.Needs {
	var needs []*decision.Needs
	for _, g := range all {
		if g.err == nil {
			needs = append(needs, g.needs)
		}
	}
	return needs
}

// firstError joins what went wrong, or returns nil.
func firstError(all []gathered) error {
	var errs []error
	for _, g := range all {
		if g.err != nil {
			errs = append(errs, g.err)
		}
	}
	if len(errs) > 1 {
		return fmt.Errorf("%w (and %d more of %d images)", errs[0], len(errs)-1, len(all))
	}
	return errors.Join(errs...)
}

// dimensionsOf returns what images ask for, and the images.
func (g *gatherer) dimensionsOf(ctx context.Context, all []gathered) nodeclass.Dimensions {
	return g.placement.Dimensions(ctx, known(all)...)
}
