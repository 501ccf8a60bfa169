package main

import (
	"cmp"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/registry"
)

const kubeconfigFlag = "kubeconfig"

// clients reach the cluster.
type clients struct {
	typed   kubernetes.Interface
	dynamic dynamic.Interface
}

// connect returns clients for the cluster that the flags name.
func connect(cmd *cobra.Command) (clients, error) {
	file, err := cmd.Flags().GetString(kubeconfigFlag)
	if err != nil {
		return clients{}, err
	}
	config, err := clusterConfig(file)
	if err != nil {
		return clients{}, fmt.Errorf("find the cluster: %w", err)
	}
	config.UserAgent = registry.UserAgent(cli.BuildVersion(version))
	config.QPS = -1 // the API server itself limits its clients
	custom := rest.CopyConfig(config)
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf+","+runtime.ContentTypeJSON
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return clients{}, fmt.Errorf("connect to the cluster: %w", err)
	}
	other, err := dynamic.NewForConfig(custom)
	if err != nil {
		return clients{}, fmt.Errorf("connect to the cluster: %w", err)
	}
	return clients{typed, other}, nil
}

// clusterConfig is that of a kubeconfig, or of the pod that the program runs in.
func clusterConfig(file string) (*rest.Config, error) {
	if file == "" {
		if config, err := rest.InClusterConfig(); err == nil {
			return config, nil
		}
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = file
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
}

// ownNamespace is the namespace of the pod that the program runs in.
func ownNamespace() string {
	text, _ := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/namespace") // none outside of a cluster
	return cmp.Or(strings.TrimSpace(string(text)), "imagefit")
}
