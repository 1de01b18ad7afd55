package main

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

const helpHead = `Three replicas, one leader: the leader logs "still leading", the others wait for their turn.
Who leads is decided by client-go, the library that Kubernetes' own components use.

Usage: still-leading-client-go [FLAGS]

Each flag can also be set by the environment variable in brackets; a flag that is given wins.

Flags:
`

const helpTail = `  -h, --help
        Print this

Durations are written like 15s, 500ms or 1m30s. The relations lease duration > renew deadline > 2 x retry period are
checked at start. lease duration - renew deadline is what work that is slow to stop, a pause of the leader or a difference
in clock speed may cost before two replicas could act at once; the lease duration is how long nobody leads after a crash.

The cluster is the one this process runs in, otherwise the one that KUBECONFIG or ~/.kube/config names.

Exit codes: 0 after a shutdown that was asked for, 1 when the election or the work failed (the last line says why),
2 for a flag that cannot be used, 130 or 143 after a second SIGINT or SIGTERM.
`

// helpText is made from the flags themselves, so that it cannot leave one out.
func helpText() string {
	var text strings.Builder
	text.WriteString(helpHead)
	new(config).flags().VisitAll(func(flag *pflag.Flag) {
		usage := strings.ReplaceAll(flag.Usage, "\n", "\n        ")
		fmt.Fprintf(&text, "  --%s%s\n        %s\n        [%s, default: %s]\n\n",
			flag.Name, placeholder(flag), usage, envOf(flag.Name), defaultOf(flag))
	})
	text.WriteString(helpTail)
	return text.String()
}

func placeholder(flag *pflag.Flag) string {
	switch {
	case flag.Value.Type() == "bool":
		return "[=BOOL]"
	case flag.Value.Type() == "duration":
		return " DURATION"
	case flag.Name == "listen":
		return " ADDRESS"
	case flag.Name == "log-format":
		return " FORMAT"
	}
	return " NAME"
}

func defaultOf(flag *pflag.Flag) string {
	switch flag.Name {
	case "lease-namespace":
		return "the pod's, or the one of the kubeconfig"
	case "identity":
		return "the host name"
	}
	return flag.DefValue
}
