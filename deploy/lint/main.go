// Checks that need the code of the program that reads a file, but not that program running: kind's parser for its
// configuration, BuildKit's linter for Dockerfiles, and Prometheus' parser for alerts. Nothing is fetched, and no code that
// creates a cluster is linked in.
package main

import (
	"fmt"
	"os"
	"strings"

	"sigs.k8s.io/kind/pkg/internal/apis/config/encoding"
)

const usage = `usage: kit-lint kind FILE...         read each as kind does
       kit-lint dockerfile FILE...   lint each as "docker build --check" does
       kit-lint rules FILE...        check the expressions of each PrometheusRule and print its groups
       kit-lint crds FOLDER          write the schemas of the Prometheus operator's kinds, for kubeconform`

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	checks := map[string]func(string) error{"kind": kindConfig, "dockerfile": dockerfile, "rules": rules, "crds": writeSchemas}
	check, known := checks[os.Args[1]]
	if !known {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	failed := false
	for _, path := range os.Args[2:] {
		if err := check(path); err != nil {
			failed = true
			for _, line := range strings.Split(err.Error(), "\n") {
				fmt.Fprintf(os.Stderr, "%s: %s\n", path, line)
			}
		}
	}
	if failed {
		os.Exit(1)
	}
}

// kind's parser refuses a field that it does not know. Validate checks the values; kind itself calls it only after it has found
// a container runtime.
func kindConfig(path string) error {
	cluster, err := encoding.Load(path)
	if err != nil {
		return err
	}
	return cluster.Validate()
}
