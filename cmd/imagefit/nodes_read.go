package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts/snapshot"
	"github.com/imagefit/imagefit/pkg/nodeclass"
	"github.com/imagefit/imagefit/pkg/placement/slurm"
)

// fleetReader reads nodes from several sources.
type fleetReader struct {
	asked    nodeclass.Dimensions
	loader   factsLoader
	fleet    *fleet
	byID     map[string]nodeclass.Class
	found    map[string]string   // name -> source
	features map[string][]object // NodeFeature objects by node
	archs    map[string]string   // of nodes of Kubernetes
	slurm    []slurm.Node
}

func newFleetReader(loader factsLoader, asked nodeclass.Dimensions) *fleetReader {
	return &fleetReader{
		asked: asked, loader: loader, fleet: &fleet{Nodes: map[string]string{}, Dimensions: asked},
		byID: map[string]nodeclass.Class{}, found: map[string]string{}, features: map[string][]object{}, archs: map[string]string{},
	}
}

func (r *fleetReader) read(ctx context.Context, source string) error {
	switch source {
	case "@k8s":
		return r.kubernetes(ctx)
	case "@slurm":
		return r.scontrol(ctx)
	case live:
		known, err := r.loader.load(ctx, live)
		if err != nil {
			return err
		}
		return r.node(nameOfNode(known, live), source, known)
	case "-":
		return r.documents("-", r.loader.stdin)
	}
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	if !info.IsDir() || isNodeRoot(source) {
		return r.file(ctx, source)
	}
	files, err := os.ReadDir(source)
	if err != nil {
		return err
	}
	for _, file := range files {
		if strings.HasPrefix(file.Name(), ".") {
			continue
		}
		if err := r.file(ctx, filepath.Join(source, file.Name())); err != nil {
			return fmt.Errorf("%s: %w", file.Name(), err)
		}
	}
	return nil
}

// isNodeRoot tells the root of a node's file system from a directory of files.
func isNodeRoot(dir string) bool {
	return slices.ContainsFunc([]string{"proc", "sys", "etc"}, func(name string) bool {
		info, err := os.Stat(filepath.Join(dir, name))
		return err == nil && info.IsDir()
	})
}

// file reads a file with any number of nodes, a snapshot or the root of a node.
func (r *fleetReader) file(ctx context.Context, name string) error {
	root, err := isRoot(name)
	if err != nil {
		return err
	}
	if root {
		tree, err := snapshot.Open(name)
		if err != nil {
			return err
		}
		known, err := collect(ctx, tree)
		if err != nil {
			return err
		}
		return r.node(nameOfNode(known, name), name, known)
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return r.documents(name, f)
}

// node adds a node with its facts.
func (r *fleetReader) node(name, source string, known *facts.Facts) error {
	class := nodeclass.Of(known, r.asked)
	r.byID[class.ID] = class
	return r.named(name, source, class.ID)
}

func (r *fleetReader) named(name, source, id string) error {
	if other, ok := r.found[name]; ok && other != source {
		return fmt.Errorf("node %s is in %s as well", printable(name), other)
	}
	r.found[name], r.fleet.Nodes[name] = source, id
	return nil
}

// nameOfNode is what a node calls itself, or else the name of its file.
func nameOfNode(known *facts.Facts, file string) string {
	if name := known.Lookup("system.name", "nodename").Value; name != "" {
		return name
	}
	base := filepath.Base(file)
	for _, extension := range []string{".tar.gz", ".tgz", ".json", ".yaml", ".yml"} {
		base = strings.TrimSuffix(base, extension)
	}
	return base
}
