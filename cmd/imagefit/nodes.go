package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/nodeclass"
	"github.com/imagefit/imagefit/pkg/placement"
)

// nodesFlags are those of commands about many nodes.
type nodesFlags struct {
	nodes []string
	arch  string
}

// dimensionsIn reads in which dimensions the classes of a file differ.
func dimensionsIn(cmd *cobra.Command, file string) (nodeclass.Dimensions, error) {
	if file == "" {
		return nodeclass.Dimensions{}, nil
	}
	text, err := readBounded(file, cmd.InOrStdin(), maxFleet)
	var of fleet
	if err == nil {
		err = json.Unmarshal(text, &of)
	}
	if err == nil && len(of.Classes) == 0 {
		err = errors.New("there are no classes")
	}
	if err != nil {
		return nil, fmt.Errorf(`read the classes of %s: %w; want what "imagefit export classes" prints`, file, err)
	}
	if of.Dimensions == nil {
		return nodeclass.Dimensions{}, nil
	}
	return of.Dimensions, nil
}

// maxFleet bounds a file with classes, of some kilobytes each.
const maxFleet = 256 << 20

func (f *nodesFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.nodes, "nodes", nil,
		`the nodes, several times for more: a file or a directory of files as for --facts of explain, but with all their nodes, `+
			`what "imagefit export classes" printed, "-" for stdin, "live" for this node, "@k8s" for the NodeFeature objects of the `+
			`cluster (by kubectl), or "@slurm" for what Slurm knows of its nodes (by scontrol), beside a file with their classes`)
	cmd.Flags().StringVar(&f.arch, "arch", "", "architecture of the nodes whose facts do not tell it: "+strings.Join(architectures(), ", "))
	cli.Complete(cmd, "arch", architectures()...)
}

func (f *nodesFlags) validate() error {
	if len(f.nodes) == 0 {
		return errors.New("--nodes is missing: which nodes?")
	}
	if f.arch == "" {
		return nil
	}
	return cli.Check("arch", f.arch, architectures())
}

// fleet is nodes by their classes. As JSON it is what "imagefit export classes" prints.
type fleet struct {
	Dimensions nodeclass.Dimensions `json:"dimensions"` // in which the classes differ
	Classes    []nodeclass.Class    `json:"classes"`    // sorted by ID
	Nodes      map[string]string    `json:"nodes"`      // name -> ID of the class
	// Tokens are those of each class beside its own, where nodes have them.
	Tokens placement.Tokens `json:"tokens,omitempty"`
}

// addTokens gives the classes their tokens by facts. Those that were exported, and those
// that Slurm's nodes have, stay.
func (f *fleet) addTokens(v *placement.Vocabulary) {
	if f.Tokens == nil {
		f.Tokens = placement.Tokens{}
	}
	for _, class := range f.Classes {
		if f.Tokens[class.ID] == nil {
			f.Tokens[class.ID] = v.Tokens(class.Facts)
		}
	}
}

// members returns the names of the nodes of each class.
func (f *fleet) members() map[string][]string {
	members := map[string][]string{}
	for name, id := range f.Nodes {
		members[id] = append(members[id], name)
	}
	for _, names := range members {
		slices.Sort(names)
	}
	return members
}

// load reads the nodes and makes classes of them in the dimensions that are asked for.
func (f *nodesFlags) load(cmd *cobra.Command, asked nodeclass.Dimensions) (*fleet, error) {
	loader, err := newFactsLoader(cmd, f.arch)
	if err != nil {
		return nil, err
	}
	r := newFleetReader(loader, asked)
	for _, source := range f.nodes {
		if err := r.read(cmd.Context(), source); err != nil {
			return nil, fmt.Errorf("read --nodes %s: %w", source, err)
		}
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	if len(r.fleet.Nodes) == 0 {
		return nil, fmt.Errorf("read --nodes %s: there are no nodes", strings.Join(f.nodes, " "))
	}
	return r.fleet, nil
}
