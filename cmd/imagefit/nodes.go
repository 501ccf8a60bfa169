package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts/snapshot"
	"github.com/imagefit/imagefit/pkg/nodeclass"
	"github.com/imagefit/imagefit/pkg/placement"
	"github.com/imagefit/imagefit/pkg/placement/slurm"
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

// documents reads JSON documents one after the other, the output of scontrol, or YAML.
func (r *fleetReader) documents(name string, from io.Reader) error {
	in := bufio.NewReaderSize(from, 64<<10)
	head, _ := in.Peek(1024) // what cannot be read is an error below
	switch head = bytes.TrimLeft(head, " \t\r\n"); {
	case bytes.HasPrefix(head, []byte("NodeName=")):
		text, err := io.ReadAll(io.LimitReader(in, maxFactsFile))
		r.slurm = append(r.slurm, slurm.ParseNodes(string(text))...)
		return err
	case len(head) == 0 || head[0] != '{':
		text, err := readBounded("-", in, maxFactsFile)
		if err != nil {
			return err
		}
		return r.yaml(name, text)
	}
	decoder := json.NewDecoder(in)
	for {
		if err := r.document(name, decoder); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// yaml reads the documents of a YAML file.
func (r *fleetReader) yaml(name string, text []byte) error {
	if len(bytes.TrimSpace(text)) == 0 {
		return errors.New("the file is empty; " + wantFacts)
	}
	documents, err := yamlDocuments(text)
	for i := 0; i < len(documents) && err == nil; i++ {
		err = r.document(name, json.NewDecoder(bytes.NewReader(documents[i])))
	}
	return err
}

// document reads one document. The items of a list are not in memory at once.
func (r *fleetReader) document(name string, decoder *json.Decoder) error {
	if _, err := decoder.Token(); err != nil {
		return err
	}
	rest, items := map[string]json.RawMessage{}, false
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return err
		}
		if items = items || key == "items"; key == "items" {
			if err := r.items(decoder); err != nil {
				return err
			}
			continue
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return fmt.Errorf("%w; %s", err, wantFacts)
		}
		if size := len(rest); size < 1000 {
			rest[fmt.Sprint(key)] = value
		}
	}
	if _, err := decoder.Token(); err != nil {
		return fmt.Errorf("%w; %s", err, wantFacts)
	}
	if items {
		return nil
	}
	text, err := json.Marshal(rest)
	if err != nil {
		return err
	}
	return r.single(name, text, rest)
}

// items reads the list of NodeFeature or Node objects that kubectl prints.
func (r *fleetReader) items(decoder *json.Decoder) error {
	if open, err := decoder.Token(); err != nil || open != json.Delim('[') {
		return fmt.Errorf("items: expected a list; %s", wantFacts)
	}
	for n := 0; decoder.More(); n++ {
		var o object
		if err := decoder.Decode(&o); err != nil {
			return fmt.Errorf("item %d: %w; %s", n, err, wantFacts)
		}
		switch {
		case o.Kind == "Node":
			r.archs[o.Metadata.Name] = o.Status.NodeInfo.Architecture
		case o.Kind != "NodeFeature" && o.Kind != "":
			return fmt.Errorf("item %d is a %.64q; %s", n, o.Kind, wantFacts)
		default:
			r.keep(o)
		}
	}
	_, err := decoder.Token()
	return err
}

// keep keeps what classes have of a NodeFeature object.
func (r *fleetReader) keep(o object) {
	if f := o.Spec.Features; f != nil {
		trim(f.Flags, r.asked)
		trim(f.Attributes, r.asked)
		trim(f.Instances, r.asked)
	}
	r.features[o.node()] = append(r.features[o.node()], o)
}

func trim[T any](sets map[string]elements[T], asked nodeclass.Dimensions) {
	for set := range sets {
		if !asked.Wants(set) {
			delete(sets, set)
		}
	}
}

// single reads a document that is not a list: a fleet, a class, a NodeFeature object, or
// the facts of a node.
func (r *fleetReader) single(name string, text []byte, keys map[string]json.RawMessage) error {
	switch {
	case keys["classes"] != nil && keys["nodes"] != nil:
		var read fleet
		if err := json.Unmarshal(text, &read); err != nil {
			return err
		}
		return r.addFleet(read, name)
	case keys["class"] != nil:
		var class nodeclass.Class
		if err := json.Unmarshal(text, &class); err != nil {
			return err
		}
		r.byID[class.ID] = class
		return r.named(class.ID, name, class.ID)
	case keys["spec"] != nil:
		var o object
		if err := json.Unmarshal(text, &o); err != nil {
			return fmt.Errorf("%w; %s", err, wantFacts)
		}
		if o.Kind != "NodeFeature" {
			return fmt.Errorf("kind is %.64q; %s", o.Kind, wantFacts)
		}
		r.keep(o)
		return nil
	}
	known, err := parseFacts(text, "", r.loader.arch)
	if err != nil {
		return err
	}
	return r.node(nameOfNode(known, name), name, known)
}

// addFleet adds classes as they were exported: their IDs are those that a scheduler has.
func (r *fleetReader) addFleet(read fleet, source string) error {
	for _, class := range read.Classes {
		r.byID[class.ID] = class
	}
	if r.fleet.Tokens == nil {
		r.fleet.Tokens = read.Tokens
	} else {
		maps.Copy(r.fleet.Tokens, read.Tokens)
	}
	for name, id := range read.Nodes {
		if err := r.named(name, source, id); err != nil {
			return err
		}
	}
	return nil
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
