package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

type rule struct {
	Alert, Record, Expr string
}

// Checks the expression of each rule, which an API server accepts like any string. Prints the groups in the form that promtool
// reads.
func rules(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	var found []rule
	for manifests := yaml.NewDecoder(file); ; {
		var manifest struct {
			Kind string
			Spec yaml.Node
		}
		err := manifests.Decode(&manifest)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if manifest.Kind != "PrometheusRule" {
			continue
		}
		var spec struct{ Groups []struct{ Rules []rule } }
		if err := manifest.Spec.Decode(&spec); err != nil {
			return err
		}
		for _, group := range spec.Groups {
			found = append(found, group.Rules...)
		}
		if err := yaml.NewEncoder(os.Stdout).Encode(&manifest.Spec); err != nil {
			return err
		}
	}
	if len(found) == 0 {
		return errors.New("no PrometheusRule with a rule in it")
	}
	return checkExpressions(found)
}

func checkExpressions(rules []rule) error {
	var all []error
	promql := parser.NewParser(parser.Options{})
	for _, rule := range rules {
		if _, err := promql.ParseExpr(rule.Expr); err != nil {
			all = append(all, fmt.Errorf("rule %s%s: %w", rule.Alert, rule.Record, err))
		}
	}
	return errors.Join(all...)
}
