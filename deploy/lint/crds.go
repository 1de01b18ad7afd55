package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	operator "github.com/prometheus-operator/prometheus-operator/example"
	"go.yaml.in/yaml/v3"
)

type definition struct {
	Spec struct {
		Group    string
		Names    struct{ Kind string }
		Versions []struct {
			Name   string
			Schema struct {
				OpenAPI map[string]any `yaml:"openAPIV3Schema"`
			}
		}
	}
}

// Writes FOLDER/<group>/<kind>_<version>.json for each kind, from the definitions in the operator's own module.
func writeSchemas(folder string) error {
	var all bytes.Buffer
	if err := operator.PrintAll(&all); err != nil {
		return err
	}
	for documents := yaml.NewDecoder(&all); ; {
		var crd definition
		err := documents.Decode(&crd)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, version := range crd.Spec.Versions {
			path := filepath.Join(folder, crd.Spec.Group, strings.ToLower(crd.Spec.Names.Kind)+"_"+version.Name+".json")
			if err := writeSchema(path, version.Schema.OpenAPI); err != nil {
				return err
			}
		}
	}
}

func writeSchema(path string, schema map[string]any) error {
	properties, known := schema["properties"].(map[string]any)
	if !known {
		return fmt.Errorf("%s would have no properties", path)
	}
	forbidUnknown(schema)
	// A definition leaves out what all kinds have. The API server adds it.
	properties["metadata"] = map[string]any{"$ref": metadata}
	text, err := json.Marshal(schema)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

// An API server silently drops a field that it does not know. Here it is an error.
func forbidUnknown(node any) {
	switch node := node.(type) {
	case map[string]any:
		for _, child := range node {
			forbidUnknown(child)
		}
		// A property may itself be called "properties", hence the type.
		if _, closed := node["properties"].(map[string]any); closed && node["type"] == "object" && node["x-kubernetes-preserve-unknown-fields"] != true {
			node["additionalProperties"] = false
		}
	case []any:
		for _, child := range node {
			forbidUnknown(child)
		}
	}
}

// Among the schemas of Kubernetes itself, which are in the same folder.
const metadata = "../v1.37.0-local-strict/_definitions.json#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
