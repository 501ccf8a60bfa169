package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"os/exec" //nolint:depguard // the tool, not a daemon, where the person asks for it by name
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/placement"
)

// kubernetes reads the objects of NFD, and which architectures the nodes have.
func (r *fleetReader) kubernetes(ctx context.Context) error {
	if err := r.from(ctx, "kubectl", "get", "nodes", "--output=json"); err != nil {
		return err
	}
	if err := r.from(ctx, "kubectl", "get", "nodefeatures.nfd.k8s-sigs.io", "--all-namespaces", "--output=json"); err != nil {
		return fmt.Errorf("%w: NFD must run in the cluster, and its NodeFeature objects must be readable", err)
	}
	return nil
}

// scontrol reads the nodes of Slurm.
func (r *fleetReader) scontrol(ctx context.Context) error {
	return r.from(ctx, "scontrol", "show", "node", "--oneliner")
}

// from reads what a program prints, while it prints.
func (r *fleetReader) from(ctx context.Context, program string, args ...string) error {
	line := program + " " + strings.Join(args, " ")
	cmd := exec.CommandContext(ctx, program, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run %s: %w; pipe its output into --nodes - from where it runs", line, err)
	}
	readErr := r.documents(line, out)
	_, _ = io.Copy(io.Discard, out) // so that the program ends
	if err := cmd.Wait(); err != nil {
		first, _, _ := strings.Cut(strings.TrimSpace(stderr.String()), "\n")
		return fmt.Errorf("run %s: %w: %s", line, err, printable(first))
	}
	if readErr != nil {
		return fmt.Errorf("read what %s prints: %w", line, readErr)
	}
	return nil
}

// finish makes nodes of what was read of clusters, and sorts the classes.
func (r *fleetReader) finish() error {
	for _, name := range slices.Sorted(maps.Keys(r.features)) {
		known, err := nodeFacts(r.features[name], name, cmp.Or(r.archs[name], r.loader.arch))
		if err != nil {
			return err
		}
		if err := r.node(name, "a NodeFeature object", known); err != nil {
			return err
		}
		delete(r.features, name)
	}
	if len(r.slurm) > 0 {
		if err := r.ofSlurm(); err != nil {
			return err
		}
	}
	used := map[string]bool{}
	for _, id := range r.fleet.Nodes {
		used[id] = true
	}
	for _, id := range slices.Sorted(maps.Keys(used)) {
		if _, known := r.byID[id]; !known {
			return fmt.Errorf("read --nodes: nothing is known of class %s", printable(id))
		}
		r.fleet.Classes = append(r.fleet.Classes, r.byID[id])
	}
	return nil
}

// ofSlurm takes the nodes that Slurm knows, in the classes that their features name.
func (r *fleetReader) ofSlurm() error {
	r.fleet.Nodes, r.fleet.Tokens = map[string]string{}, placement.Tokens{}
	for _, n := range r.slurm {
		id := n.Class()
		if id == "" {
			return fmt.Errorf("node %s has no feature that names its class: imagefit export slurm makes them", printable(n.Name))
		}
		if _, ok := r.byID[id]; !ok {
			return fmt.Errorf("node %s is of class %s, of which nothing is known: give what imagefit export classes printed with another --nodes",
				printable(n.Name), printable(id))
		}
		r.fleet.Nodes[n.Name] = id
		if others, ok := r.fleet.Tokens[id]; ok { // what all nodes of the class have
			r.fleet.Tokens[id] = slices.DeleteFunc(others, func(t string) bool { return !slices.Contains(n.Tokens(), t) })
		} else {
			r.fleet.Tokens[id] = n.Tokens()
		}
	}
	return nil
}
