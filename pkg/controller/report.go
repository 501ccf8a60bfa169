package controller

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/imagefit/imagefit/pkg/facts"
	"github.com/imagefit/imagefit/pkg/nodeclass"
)

// Reporter tells the cluster of which class a node is.
type Reporter struct {
	Client  kubernetes.Interface
	Dynamic dynamic.Interface
	Node    string
	// Dimensions are facts that classes have beyond those that distinguish machines.
	Dimensions nodeclass.Dimensions
}

// reporterManager is who has the label of a node that reports its class itself.
const reporterManager = "imagefit-nodes"

// Report makes the NodeClass of the facts, if there is none, and then labels the node. It
// returns the class.
func (r Reporter) Report(ctx context.Context, known *facts.Facts) (string, error) {
	class := nodeclass.Of(known, r.Dimensions)
	return class.ID, r.label(ctx, class, types.MergePatchType, metav1.PatchOptions{FieldManager: reporterManager})
}

// apply does the same for the controller. It is a conflict where another has labelled the
// node, such as its own reporter.
func (r Reporter) apply(ctx context.Context, class nodeclass.Class) error {
	return r.label(ctx, class, types.ApplyPatchType, metav1.PatchOptions{FieldManager: Program})
}

func (r Reporter) label(ctx context.Context, class nodeclass.Class, how types.PatchType, options metav1.PatchOptions) error {
	if err := r.makeClass(ctx, class, options.FieldManager); err != nil {
		return fmt.Errorf("make the node class %s: %w", class.ID, err)
	}
	patch, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Node",
		"metadata": map[string]any{"name": r.Node, "labels": map[string]string{ClassLabel: class.ID}},
	})
	if err != nil {
		return err
	}
	if _, err = r.Client.CoreV1().Nodes().Patch(ctx, r.Node, how, patch, options); err != nil {
		return fmt.Errorf("label the node %s: %w", r.Node, err)
	}
	return nil
}

func (r Reporter) makeClass(ctx context.Context, class nodeclass.Class, manager string) error {
	classes := r.Dynamic.Resource(NodeClasses())
	_, err := classes.Get(ctx, class.ID, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		return err
	}
	object, err := classObject(class)
	if err != nil {
		return err
	}
	_, err = classes.Create(ctx, object, metav1.CreateOptions{FieldManager: manager})
	if apierrors.IsAlreadyExists(err) { // by another node meanwhile
		return nil
	}
	return err
}

func classObject(class nodeclass.Class) (*unstructured.Unstructured, error) {
	text, err := json.Marshal(class.Facts)
	if err != nil {
		return nil, err
	}
	var body map[string]any
	if err := json.Unmarshal(text, &body); err != nil {
		return nil, err
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": NodeClasses().GroupVersion().String(), "kind": "NodeClass",
		"metadata": map[string]any{"name": class.ID}, "spec": map[string]any{"facts": body},
	}}, nil
}
