package main

import (
	"fmt"
	"runtime/debug"
)

// commit is set by the linker where the build says which: the Dockerfile does with --build-arg COMMIT=….
var commit string

// versionText names the program, its version and the commit. A build needs no Git: without one, no commit is named.
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
