package cluster

import (
	"context"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/imagefit/imagefit/integration/stack"
	"github.com/imagefit/imagefit/pkg/controller"
)

const manifests = "../../deploy/kubernetes"

// admin is the configuration of a client that may do everything.
func admin(plane *stack.ControlPlane) *rest.Config {
	return &rest.Config{
		Host: plane.URL, BearerToken: plane.Admin, QPS: -1,
		TLSClientConfig: rest.TLSClientConfig{Insecure: true},
	}
}

// install applies what users apply. Nothing runs the Deployment: the tests start the program.
func install(plane *stack.ControlPlane) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	if _, err := apply(ctx, plane, manifests); err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(admin(plane))
	if err != nil {
		return err
	}
	hours := int64(8 * 3600)
	token, err := client.CoreV1().ServiceAccounts("imagefit").CreateToken(ctx, "imagefit-controller",
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &hours}}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("make a token of the controller's service account: %w", err)
	}
	if _, err = plane.Kubeconfig("admin", plane.Admin); err != nil {
		return err
	}
	if _, err = plane.Kubeconfig("controller", token.Status.Token); err != nil {
		return err
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "probe", Labels: map[string]string{"imagefit.dev/place": "true"}}}
	if _, err := client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		return err
	}
	objects, err := dynamic.NewForConfig(admin(plane))
	if err != nil {
		return err
	}
	if err := heartbeat(ctx, objects); err != nil {
		return err
	}
	return awaitGating(ctx, client, true)
}

// heartbeat renews the heartbeat in the controller's place.
func heartbeat(ctx context.Context, objects dynamic.Interface) error {
	object := fmt.Sprintf(`{"apiVersion": "imagefit.dev/v1alpha1", "kind": "Heartbeat", "metadata": {"name": %q}, "spec": {"renewTime": %q}}`,
		controller.Program, time.Now().UTC().Format(metav1.RFC3339Micro))
	_, err := objects.Resource(controller.Heartbeats()).Patch(ctx, controller.Program, types.ApplyPatchType, []byte(object), metav1.PatchOptions{FieldManager: "test"})
	return err
}

// awaitGating waits until new pods are gated, or not any more: the API server notices
// changes of the policy and of the heartbeat after a moment.
func awaitGating(ctx context.Context, client *kubernetes.Clientset, want bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		pod, err := client.CoreV1().Pods("probe").Create(ctx, podObject("probe", "app:1"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			return fmt.Errorf("wait until gating is %t: %w", want, err)
		}
		if gated(pod) == want {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// apply does what `kubectl apply -k` does with a folder, and returns the objects.
func apply(ctx context.Context, plane *stack.ControlPlane, dir string) ([]*unstructured.Unstructured, error) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", dir, err)
	}
	var objects []*unstructured.Unstructured
	for _, resource := range built.Resources() {
		text, err := resource.MarshalJSON()
		object := &unstructured.Unstructured{}
		if err == nil {
			err = object.UnmarshalJSON(text)
		}
		if err != nil {
			return nil, fmt.Errorf("build %s: %w", dir, err)
		}
		if err := applyObject(ctx, plane, object); err != nil {
			return nil, fmt.Errorf("apply %s %s of %s: %w", object.GetKind(), object.GetName(), dir, err)
		}
		objects = append(objects, object)
	}
	return objects, nil
}

func applyObject(ctx context.Context, plane *stack.ControlPlane, object *unstructured.Unstructured) error {
	finder, err := discovery.NewDiscoveryClientForConfig(admin(plane))
	if err != nil {
		return err
	}
	groups, err := restmapper.GetAPIGroupResources(finder)
	if err != nil {
		return err
	}
	kind := object.GroupVersionKind()
	mapping, err := restmapper.NewDiscoveryRESTMapper(groups).RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(admin(plane))
	if err != nil {
		return err
	}
	_, err = client.Resource(mapping.Resource).Namespace(object.GetNamespace()).Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: "kubectl", Force: true})
	return err
}
