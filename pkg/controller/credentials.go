package controller

import (
	"context"
	"fmt"
	"strings"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/imagefit/imagefit/pkg/registry"
)

// maxSecrets bounds the secrets that are read for a pod.
const maxSecrets = 8

// authOf returns the credentials for an image: those of the pod where they may be used,
// else the controller's own.
func (c *Controller) authOf(ctx context.Context, i image) (*registry.Auth, error) {
	named, err := reference.ParseDockerRef(i.ref)
	if err != nil {
		return nil, nil //nolint:nilerr,nilnil // the lookup itself says what is wrong with it
	}
	if namespace, names, ok := strings.Cut(i.secrets, "/"); ok {
		list := strings.Split(names, ",")
		for _, name := range list[:min(len(list), maxSecrets)] {
			auth, err := c.authIn(ctx, namespace, name, named)
			if auth != nil || err != nil {
				return auth, err
			}
		}
	}
	if c.options.Auth == nil {
		return nil, nil //nolint:nilnil // anonymous
	}
	return c.options.Auth(ctx, named)
}

// authIn returns the credentials that a secret of a pod has for a repository, or nil. A
// secret that does not exist has none, as it does for the kubelet.
func (c *Controller) authIn(ctx context.Context, namespace, name string, repository reference.Named) (*registry.Auth, error) {
	secret, err := c.client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // none
	}
	if err != nil {
		return nil, fmt.Errorf("read the image pull secret %s/%s: %w", namespace, name, err)
	}
	text, ok := secret.Data[corev1.DockerConfigJsonKey]
	if !ok {
		return nil, nil //nolint:nilnil // of another type
	}
	auth, err := registry.AuthFromConfig(text, repository)
	if err != nil {
		return nil, fmt.Errorf("read the image pull secret %s/%s: %w", namespace, name, err)
	}
	return auth, nil
}
