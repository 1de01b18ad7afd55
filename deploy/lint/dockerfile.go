package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/opencontainers/go-digest"
)

// Every warning is an error. To keep one, switch its rule off in the Dockerfile itself: "# check=skip=RULE".
func dockerfile(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	found, err := dockerfile2llb.DockerfileLint(context.Background(), text, dockerfile2llb.ConvertOpt{
		SourceMap:    &llb.SourceMap{Definition: &llb.Definition{}, Filename: path, Data: text},
		MetaResolver: anyImage{},
	})
	if err != nil {
		return err
	}
	var all []error
	if found.Error != nil {
		all = append(all, errors.New(found.Error.Message))
	}
	for _, warning := range found.Warnings {
		line := int32(0)
		if ranges := warning.Location.GetRanges(); len(ranges) > 0 {
			line = ranges[0].GetStart().GetLine()
		}
		all = append(all, fmt.Errorf("line %d: %s: %s (%s)", line, warning.RuleName, warning.Detail, warning.URL))
	}
	return errors.Join(all...)
}

// Claims that every base image exists and sets nothing but PATH, so that no registry is asked.
type anyImage struct{}

func (anyImage) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	return ref, "", []byte(`{"os": "linux", "config": {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"]}}`), nil
}
