package main

import (
	"fmt"
	"runtime/debug"
)

// commit is set by the linker if the build names it, as the Dockerfile does with --build-arg COMMIT=….
var commit string

// versionText returns the program's name, its version and the commit. A build needs no Git: without one, there is no commit.
func versionText() string {
	const version = "0.1.0"
	revision := commit
	if info, ok := debug.ReadBuildInfo(); ok && revision == "" {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				revision = setting.Value[:min(12, len(setting.Value))]
			}
		}
	}
	if revision == "" {
		return fmt.Sprintf("%s %s\n", program, version)
	}
	return fmt.Sprintf("%s %s (%s)\n", program, version, revision)
}
