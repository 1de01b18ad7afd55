package main

import (
	"fmt"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// namespaceFile is where a pod finds its namespace. client-go reads it only for tools like kubectl.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// loadKube finds the cluster, and the namespace to use unless a flag names another. No request is sent yet.
func loadKube() (*rest.Config, string, error) {
	// A pod without a ServiceAccount token does not count as in the cluster, so after any error look further.
	if config, err := rest.InClusterConfig(); err == nil {
		namespace := "default"
		if content, err := os.ReadFile(namespaceFile); err == nil {
			namespace = strings.TrimSpace(string(content))
		}
		return tuned(config), namespace, nil
	}
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), &clientcmd.ConfigOverrides{})
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, "", fmt.Errorf("no cluster found (%w); set KUBECONFIG, run in a pod with a ServiceAccount, "+
			"or leave out --enable-leader-election", err)
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, "", fmt.Errorf("reading the namespace from the kubeconfig: %w", err)
	}
	return tuned(config), namespace, nil
}

func tuned(config *rest.Config) *rest.Config {
	config.UserAgent = program
	// client-go would use protobuf. The other variants use JSON, which a proxy in between can read.
	config.ContentType = runtime.ContentTypeJSON
	config.AcceptContentTypes = runtime.ContentTypeJSON
	return config
}
