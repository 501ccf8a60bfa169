package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/whatif"
)

// maxHosts bounds the hosts of one question.
const maxHosts = 20_000

// loadAll loads the facts of all hosts that the names stand for: what --facts takes, of
// a list of NodeFeature objects each node, and of a directory that is not the root of a
// host each file in it.
func (l factsLoader) loadAll(ctx context.Context, names []string) ([]whatif.Host, error) {
	var all []whatif.Host
	for _, name := range names {
		files, err := filesOf(name)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			hosts, err := l.hostsOf(ctx, file)
			if err != nil {
				return nil, err
			}
			if all = append(all, hosts...); len(all) > maxHosts {
				return nil, fmt.Errorf("there are more than %d hosts", maxHosts)
			}
		}
	}
	return all, nil
}

// filesOf lists the files in a directory, or is the name of anything else. The root of a
// host has proc or sys.
func filesOf(name string) ([]string, error) {
	info, err := os.Stat(name)
	if err != nil || !info.IsDir() {
		return []string{name}, nil //nolint:nilerr // whoever reads it says more
	}
	for _, of := range []string{"proc", "sys", "etc"} {
		if _, err := os.Stat(filepath.Join(name, of)); err == nil {
			return []string{name}, nil
		}
	}
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			files = append(files, filepath.Join(name, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s is neither the root of a host (with proc, sys or etc) nor a directory with files of facts", name)
	}
	return files, nil
}

// hostsOf loads the host, or all hosts, of one file.
func (l factsLoader) hostsOf(ctx context.Context, name string) ([]whatif.Host, error) {
	file, node, err := splitNode(name)
	if err != nil {
		return nil, err
	}
	if root, err := isRoot(file); name == live || node != "" || err == nil && root {
		known, err := l.load(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("load %s: %w", name, err)
		}
		if node == "" {
			node = hostName(name)
		}
		return []whatif.Host{{Name: node, Facts: known}}, nil
	}
	text, err := readBounded(file, l.stdin, maxFactsFile)
	if err != nil {
		return nil, err
	}
	objects, err := nodesIn(text)
	if err != nil || len(objects) < 2 {
		known, err := parseFacts(text, "", l.arch)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return []whatif.Host{{Name: hostName(file), Facts: known}}, nil
	}
	var hosts []whatif.Host
	for _, node := range slices.Sorted(maps.Keys(objects)) {
		known, err := nodeFacts(objects[node], node, l.arch)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		hosts = append(hosts, whatif.Host{Name: node, Facts: known})
	}
	return hosts, nil
}

// nodesIn returns the NodeFeature objects of a list by their nodes.
func nodesIn(written []byte) (map[string][]object, error) {
	text, err := toJSON(written)
	if err != nil {
		return nil, err
	}
	var head object
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, err
	}
	if head.Kind != "NodeFeatureList" && head.Kind != "List" {
		return nil, errors.New("not a list")
	}
	byNode := map[string][]object{}
	for _, o := range head.Items {
		byNode[o.Node()] = append(byNode[o.Node()], o)
	}
	return byNode, nil
}

// hostName names a host by the file of its facts.
func hostName(file string) string {
	name := filepath.Base(file)
	for _, suffix := range []string{".json", ".yaml", ".yml", ".tar.gz", ".tgz"} {
		name = strings.TrimSuffix(name, suffix)
	}
	return name
}
