// Package nodefeature reads the NodeFeature objects of a cluster, by which NFD tells the
// features of its nodes.
package nodefeature

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/hostfacts"
	"github.com/imagefit/imagefit/pkg/nodeclass"
)

// NodeLabel names the node that an object is about; NFD's worker gives the object the
// name of the node besides.
const NodeLabel = "nfd.node.kubernetes.io/node-name"

// Object is a NodeFeature, as far as it matters.
type Object struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name      string            `json:"name"`
		Namespace string            `json:"namespace"`
		Labels    map[string]string `json:"labels"`
	} `json:"metadata"`
	Spec struct {
		Features *Features `json:"features"`
	} `json:"spec"`
}

// Features are those of NFD, as its export has them too.
type Features struct {
	Flags      map[string]Elements[map[string]struct{}] `json:"flags"`
	Attributes map[string]Elements[map[string]string]   `json:"attributes"`
	Instances  map[string]Elements[[]json.RawMessage]   `json:"instances"`
}

// Elements are the elements of a set.
type Elements[T any] struct {
	Elements T `json:"elements"`
}

// Node is the name of the node that the object is about.
func (o *Object) Node() string {
	if name := o.Metadata.Labels[NodeLabel]; name != "" {
		return name
	}
	return o.Metadata.Name
}

// Trim leaves of the features what a class has in the dimensions that are asked for.
func (o *Object) Trim(asked nodeclass.Dimensions) {
	if f := o.Spec.Features; f != nil {
		trim(f.Flags, asked)
		trim(f.Attributes, asked)
		trim(f.Instances, asked)
	}
}

func trim[T any](sets map[string]Elements[T], asked nodeclass.Dimensions) {
	maps.DeleteFunc(sets, func(set string, _ Elements[T]) bool { return !asked.Wants(set) })
}

// Facts returns what the objects of one node say of it, joined as NFD does: in the order
// of their names, that of NFD's worker first. arch is the architecture of the node, "" where
// that is not known.
func Facts(objects []Object, arch string) (*facts.Facts, error) {
	merged := Features{
		Flags: map[string]Elements[map[string]struct{}]{}, Attributes: map[string]Elements[map[string]string]{},
		Instances: map[string]Elements[[]json.RawMessage]{},
	}
	objects = slices.Clone(objects)
	slices.SortStableFunc(objects, func(a, b Object) int { return strings.Compare(a.order(), b.order()) })
	found := false
	for _, o := range objects {
		if o.Spec.Features == nil {
			continue
		}
		found = true
		mergeSets(merged.Flags, o.Spec.Features.Flags)
		mergeSets(merged.Attributes, o.Spec.Features.Attributes)
		for set, instances := range o.Spec.Features.Instances {
			merged.Instances[set] = Elements[[]json.RawMessage]{slices.Concat(merged.Instances[set].Elements, instances.Elements)}
		}
	}
	if !found {
		return nil, errors.New("expected spec.features with flags, attributes and instances")
	}
	text, err := json.Marshal(merged)
	if err != nil {
		return nil, err
	}
	return hostfacts.ParseFor(bytes.NewReader(text), arch)
}

func (o *Object) order() string {
	rank := "1"
	if o.Metadata.Name == o.Node() {
		rank = "0"
	}
	return rank + o.Metadata.Name + "\x00" + o.Metadata.Namespace
}

func mergeSets[V any](into, from map[string]Elements[map[string]V]) {
	for set, e := range from {
		if into[set].Elements == nil {
			into[set] = Elements[map[string]V]{map[string]V{}}
		}
		maps.Copy(into[set].Elements, e.Elements)
	}
}
