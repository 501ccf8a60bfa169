package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts"
	"github.com/imagefit/imagefit/pkg/hostfacts/snapshot"
)

// maxFactsFile bounds what is read of a file with facts; a list of NodeFeature
// objects has about 50 kB for each node.
const maxFactsFile = 32 << 20

// openRoot opens what --root names, by default this node.
func openRoot(cmd *cobra.Command, path string) (hostfacts.Root, error) {
	if path == "" {
		loader, err := newFactsLoader(cmd, "")
		if err != nil {
			return hostfacts.Root{}, err
		}
		return hostfacts.NewRoot(loader.live), nil
	}
	root, err := snapshot.Open(path)
	if err != nil {
		return hostfacts.Root{}, fmt.Errorf("open --root: %w", err)
	}
	return root, nil
}

func collect(ctx context.Context, root hostfacts.Root) (*facts.Facts, error) {
	facts := hostfacts.Collect(ctx, root)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("collect facts: %w", err)
	}
	return facts, nil
}

// factsLoader loads the facts of nodes.
type factsLoader struct {
	live  string // root of this node: facts.root of the configuration, as for the daemons
	arch  string // of nodes whose file does not tell it
	stdin io.Reader
}

// newFactsLoader reads the configuration. What is wrong with it is for the command to print.
func newFactsLoader(cmd *cobra.Command, arch string) (factsLoader, error) {
	sources, err := cli.ConfigSources(cmd)
	if err != nil {
		return factsLoader{}, err
	}
	usable := sources.LoadUsable("cri-proxy", "nri-plugin")
	return factsLoader{live: usable.Config.Facts.Root, arch: arch, stdin: cmd.InOrStdin()}, nil
}

// load takes a file, or for "-" stdin, with what "imagefit facts -o json"
// or "nfd export features" printed, or with NodeFeature objects of Kubernetes:
// FILE#NODE picks the node of a list. Else it collects the facts of a snapshot,
// of a directory or, for "live", of this node.
func (l factsLoader) load(ctx context.Context, name string) (*facts.Facts, error) {
	if name == live {
		return collect(ctx, hostfacts.NewRoot(l.live))
	}
	file, node, err := splitNode(name)
	if err != nil {
		return nil, err
	}
	if file != "-" {
		isRoot, err := isRoot(file)
		if err != nil {
			return nil, err
		}
		if isRoot && node != "" {
			return nil, fmt.Errorf("%s holds one node: leave out #%s", file, node)
		}
		if isRoot {
			root, err := snapshot.Open(file)
			if err != nil {
				return nil, err
			}
			return collect(ctx, root)
		}
	}
	text, err := readBounded(file, l.stdin, maxFactsFile)
	if err != nil {
		return nil, err
	}
	facts, err := parseFacts(text, node, l.arch)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return facts, nil
}

// splitNode splits FILE#NODE, unless a file has that very name.
func splitNode(name string) (file, node string, err error) {
	i := strings.LastIndexByte(name, '#')
	if i < 0 {
		return name, "", nil
	}
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return name, "", err
	}
	if node = name[i+1:]; node == "" {
		return "", "", fmt.Errorf("%q: the name of a node is expected behind the #", name)
	}
	return name[:i], node, nil
}

// readBounded reads a whole file, or stdin for "-", of at most limit bytes.
func readBounded(file string, stdin io.Reader, limit int64) ([]byte, error) {
	if file == "-" {
		return fsutil.ReadAll("standard input", stdin, limit)
	}
	return fsutil.ReadAny(file, limit)
}

// isRoot tells a directory and a snapshot from a file with facts.
func isRoot(name string) (bool, error) {
	info, err := os.Stat(name)
	if err != nil {
		return false, err
	}
	if info.IsDir() {
		return true, nil
	}
	if !info.Mode().IsRegular() {
		return false, nil // a pipe can be read once only
	}
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	gzipMagic := []byte{0x1f, 0x8b}
	head := make([]byte, len(gzipMagic))
	_, err = io.ReadFull(f, head)
	return err == nil && bytes.Equal(head, gzipMagic), nil
}
