package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"
	terminal "golang.org/x/term"
)

// Each paragraph is one line, which wrap breaks at the width of the terminal.
const helpHead = `Three replicas, one leader: the leader logs "still leading", the others wait for their turn. Who leads is decided by client-go, the library that Kubernetes' own components use.

Usage: still-leading-client-go [FLAGS]

Each flag can also be set by the environment variable in brackets; a flag that is given wins.

Flags:
`

const helpTail = `  -h, --help
        Print this

Durations are written like 15s, 500ms or 1m30s. The relations lease duration > renew deadline > 2 x retry period are checked at start. lease duration - renew deadline is what work that is slow to stop, a pause of the leader or a difference in clock speed may cost before two replicas could act at once; the lease duration is how long nobody leads after a crash.

The cluster is the one this process runs in, otherwise the one that KUBECONFIG or ~/.kube/config names.

Exit codes: 0 after a shutdown that was asked for, 1 when the election failed, or the work did, or did not stop in time (the last line says why), 2 for a flag that cannot be used, 130 or 143 after a second SIGINT or SIGTERM.

docs/troubleshooting.md of still-leading says what the lines of the log mean, and what to do.
`

// helpText is made from the flags, so that it cannot leave one out. Its lines have at most width columns.
func helpText(width int) string {
	var text strings.Builder
	text.WriteString(helpHead)
	new(config).flags().VisitAll(func(flag *pflag.Flag) {
		source := ""
		if env := envOf(flag.Name); env != "" {
			source = fmt.Sprintf("        [%s, default: %s]\n", env, defaultOf(flag))
		}
		fmt.Fprintf(&text, "  --%s%s\n        %s\n%s\n", flag.Name, placeholder(flag), flag.Usage, source)
	})
	text.WriteString(helpTail)
	return wrap(text.String(), width)
}

// wrap breaks lines between words. The lines after a break have the indentation of the first.
func wrap(text string, width int) string {
	var wrapped strings.Builder
	for line := range strings.Lines(text) {
		indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
		column := 0
		for i, word := range strings.Fields(line) {
			switch {
			case i == 0:
				wrapped.WriteString(indent)
				column = len(indent)
			case column+1+len(word) > width:
				wrapped.WriteString("\n" + indent)
				column = len(indent)
			default:
				wrapped.WriteString(" ")
				column++
			}
			wrapped.WriteString(word)
			column += len(word)
		}
		wrapped.WriteString("\n")
	}
	return wrapped.String()
}

// terminalWidth is the width of help: a terminal's width up to 120 columns, and 100 without a terminal.
func terminalWidth(stdout io.Writer) int {
	if file, isFile := stdout.(*os.File); isFile {
		if width, _, err := terminal.GetSize(int(file.Fd())); err == nil && width > 0 {
			return min(width, 120)
		}
	}
	return 100
}

func placeholder(flag *pflag.Flag) string {
	switch {
	case flag.Name == "version":
		return ""
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
