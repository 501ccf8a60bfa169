package catalog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/distribution/reference"

	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/internal/textutil"
)

// SourceKind is where images of a source are found.
type SourceKind string

// The kinds of sources.
const (
	FromRegistry SourceKind = "registry" // all repositories of a registry, or those below a prefix
	FromList     SourceKind = "list"     // a file with a reference or repository a line
	FromDir      SourceKind = "dir"      // OCI layouts, archives and SIF files below a folder
	FromNode     SourceKind = "node"     // images on this node
	FromCluster  SourceKind = "cluster"  // images that pods of a cluster use
)

// Source is a place that a catalog reads images from.
type Source struct {
	ID     int64      `json:"id"`
	Kind   SourceKind `json:"kind"`
	Name   string     `json:"name"`
	Added  time.Time  `json:"added"`
	Began  time.Time  `json:"began,omitzero"`  // of a sync that has not ended
	Synced time.Time  `json:"synced,omitzero"` // the last time without an error
	Error  string     `json:"error,omitempty"` // of the last sync
	Tags   int        `json:"tags"`
}

// String names the source.
func (s Source) String() string {
	switch s.Kind {
	case FromNode, FromCluster:
		return string(s.Kind) + " " + s.Name
	default:
		return s.Name
	}
}

// maxPrefix bounds the name of a source.
const maxPrefix = 4 << 10

// RegistrySource names a registry, or a part of one: registry.example[/prefix].
func RegistrySource(name string) (Source, error) {
	name = strings.Trim(strings.TrimPrefix(strings.TrimPrefix(name, "https://"), "http://"), "/")
	host, prefix, _ := strings.Cut(name, "/")
	if host == "docker.io" && prefix == "" {
		return Source{}, errors.New("docker.io does not list its repositories: name a repository, or use --list FILE")
	}
	probe := host + "/" + strings.Trim(prefix+"/x", "/")
	named, err := reference.ParseNormalizedNamed(probe)
	if err != nil || len(name) > maxPrefix || strings.ContainsAny(prefix, ":@") {
		return Source{}, fmt.Errorf("%s is not a registry, as in registry.example or registry.example/team: references go into a file for --list", textutil.Quote(name))
	}
	if domain := reference.Domain(named); domain != host && (domain != "docker.io" || !strings.HasPrefix(name, "docker.io")) {
		return Source{}, fmt.Errorf("%s is not a registry: its name needs a dot, a port or localhost", textutil.Quote(host))
	}
	return Source{Kind: FromRegistry, Name: name}, nil
}

// PathSource names a file or a folder.
func PathSource(kind SourceKind, path string) (Source, error) {
	whole, err := filepath.Abs(path)
	return Source{Kind: kind, Name: whole}, err
}

// Add adds a source; one that is there already stays as it is.
func (c *Catalog) Add(ctx context.Context, s Source) (added bool, err error) {
	err = c.tx(ctx, func(t *tx) error {
		var id int64
		added, err = t.get("INSERT INTO source (kind, name, added) VALUES (?, ?, ?) ON CONFLICT (kind, name) DO NOTHING RETURNING id",
			[]any{string(s.Kind), s.Name, t.now}, &id)
		return err
	})
	return added, err
}

// Remove removes a source. The images that were found there stay, as history.
func (c *Catalog) Remove(ctx context.Context, id int64) error {
	return c.tx(ctx, func(t *tx) error { return t.exec("DELETE FROM source WHERE id = ?", id) })
}

// Sources lists the sources.
func (c *Catalog) Sources(ctx context.Context) ([]Source, error) {
	all := []Source{}
	err := c.each(ctx, func(scan func(...any) error) error {
		var s Source
		var added, began, synced int64
		err := scan(&s.ID, &s.Kind, &s.Name, &added, &began, &synced, &s.Error, &s.Tags)
		s.Added, s.Began, s.Synced = when(added), when(began), when(synced)
		all = append(all, s)
		return err
	}, "SELECT s.id, s.kind, s.name, s.added, s.began, s.synced, s.error, "+
		"(SELECT COUNT(*) FROM found f JOIN tag t ON t.id = f.tag WHERE f.source = s.id AND t.gone = 0) FROM source s ORDER BY s.kind, s.name")
	return all, err
}

// when is a time as the database keeps it.
func when(at int64) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return time.Unix(at, 0).UTC()
}

const (
	maxListFile = 64 << 20
	maxListed   = 1_000_000
)

// readList reads a file with a reference or a repository a line; # begins a comment.
func readList(path string) ([]string, error) {
	text, err := fsutil.ReadFile(path, maxListFile)
	if err != nil {
		return nil, err
	}
	var all []string
	scanner := bufio.NewScanner(strings.NewReader(string(text)))
	for row := 1; scanner.Scan(); row++ {
		line, _, _ := strings.Cut(scanner.Text(), "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if _, err := reference.ParseNormalizedNamed(line); err != nil {
			return nil, fmt.Errorf("%s:%d: %s is not an image reference: %w", path, row, textutil.Quote(line), err)
		}
		if all = append(all, line); len(all) > maxListed {
			return nil, fmt.Errorf("%s has more than %d references", path, maxListed)
		}
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return all, nil
}
