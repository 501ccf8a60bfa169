package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/pkg/decision"
)

// Named is an image under one name.
type Named struct {
	Name  string // as it was asked for
	Needs *decision.Needs
	Err   error // why the catalog does not tell what it needs
}

// maxLookedUp bounds the names that are conditions of one statement. For more of them the
// whole catalog is read.
const maxLookedUp = 100

// Named returns what the images with these names need, in the order of the names. A name
// is written as for a pull; it may also be the repository and the digest of an image that
// the catalog has under a tag.
func (c *Catalog) Named(ctx context.Context, names []string, rules *decision.Rules) ([]Named, error) {
	images, err := c.Images(ctx, withNames(names), rules)
	if err != nil {
		return nil, err
	}
	found := map[string]*decision.Needs{}
	for _, image := range images {
		for _, name := range image.Names {
			found[name] = image.Needs
		}
		found[image.Needs.Repository+"@"+image.Needs.Top.Digest.String()] = image.Needs
	}
	all := make([]Named, len(names))
	for i, name := range names {
		all[i].Name = name
		for _, spelling := range spellings(name) {
			if needs := found[spelling]; needs != nil {
				all[i].Needs = as(needs, spelling)
			}
		}
		if all[i].Needs != nil {
			continue
		}
		if all[i].Err, err = c.absent(ctx, name); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// EachName returns the images that an expression describes, one for each of their names.
func (c *Catalog) EachName(ctx context.Context, e *Expression, rules *decision.Rules) ([]Named, error) {
	images, err := c.Images(ctx, e, rules)
	if err != nil {
		return nil, err
	}
	var all []Named
	for _, image := range images {
		for _, name := range image.Names {
			all = append(all, Named{Name: name, Needs: as(image.Needs, name)})
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("the catalog %s has no image that matches", c.name)
	}
	return all, nil
}

// as returns what an image needs under another of its names.
func as(needs *decision.Needs, name string) *decision.Needs {
	named := *needs
	named.Reference = name
	return &named
}

// spellings are the names under which a catalog may have a reference.
func spellings(name string) []string {
	if named, err := reference.ParseDockerRef(name); err == nil && named.String() != name {
		return []string{name, named.String()}
	}
	return []string{name}
}

// withNames describes images by their names, or all where there are many names.
func withNames(names []string) *Expression {
	if len(names) > maxLookedUp {
		return &Expression{root: andNode{}}
	}
	is := func(name, value string) node {
		f, _ := fieldNamed(name)
		return compared{field: f, op: "=", value: value}
	}
	var parts []node
	for _, name := range names {
		for _, spelling := range spellings(name) {
			parts = append(parts, is("name", spelling))
		}
		if d, ok := digestOf(name); ok {
			parts = append(parts, is("digest", d.String()))
		}
	}
	return &Expression{root: orNode{parts}}
}

func digestOf(name string) (digest.Digest, bool) {
	named, err := reference.ParseDockerRef(name)
	if err != nil {
		return "", false
	}
	digested, ok := named.(reference.Digested)
	if !ok {
		return "", false
	}
	return digested.Digest(), true
}

// absent returns why the catalog does not tell what the image with a name needs.
func (c *Catalog) absent(ctx context.Context, name string) (why, err error) {
	shown, err := c.Show(ctx, name)
	if missing, ok := errors.AsType[NotFoundError](err); ok {
		return missing, nil
	}
	switch {
	case err != nil:
		return nil, err
	case !shown.Gone.IsZero():
		return fmt.Errorf("the catalog %s has no image %s any more: its registry lacks it since %s", c.name, name, shown.Gone.UTC().Format(time.DateTime)), nil
	case shown.Error != "":
		return fmt.Errorf("the catalog %s does not have what %s needs: the last sync could not read it: %s", c.name, name, shown.Error), nil
	}
	return fmt.Errorf("the catalog %s has no variant of %s that is an image", c.name, name), nil
}
