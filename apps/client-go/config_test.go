package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func noEnv(string) (string, bool) { return "", false }

func envOfMap(values map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, set := values[name]
		return value, set
	}
}

func TestTheDefaultsAreThoseOfClientGo(t *testing.T) {
	c, err := parseConfig(nil, noEnv)
	if err != nil {
		t.Fatal(err)
	}
	want := config{
		leaseName: "still-leading-client-go", leaseDuration: 15 * time.Second, renewDeadline: 10 * time.Second,
		retryPeriod: 2 * time.Second, drainTimeout: 20 * time.Second, tick: 5 * time.Second, listen: "[::]:8080", logFormat: "text",
	}
	if *c != want {
		t.Errorf("got %+v, want %+v", *c, want)
	}
}

func TestEveryFlagCanBeSetByItsEnvironmentVariable(t *testing.T) {
	c, err := parseConfig(nil, envOfMap(map[string]string{
		"ENABLE_LEADER_ELECTION": "Yes", "LEASE_NAME": "n", "POD_NAMESPACE": "ns", "POD_NAME": "pod-0",
		"LEASE_DURATION": "1m", "RENEW_DEADLINE": "40s", "RETRY_PERIOD": "500ms", "DRAIN_TIMEOUT": "3s", "TICK": "1s",
		"ACT_DURATION": "4s", "LISTEN": "", "LOG_FORMAT": "json",
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := config{
		enableLeaderElection: true, leaseName: "n", leaseNamespace: "ns", identity: "pod-0", leaseDuration: time.Minute,
		renewDeadline: 40 * time.Second, retryPeriod: 500 * time.Millisecond, drainTimeout: 3 * time.Second,
		tick: time.Second, actDuration: 4 * time.Second, logFormat: "json",
	}
	if *c != want {
		t.Errorf("got %+v, want %+v", *c, want)
	}
}

func TestAFlagWinsOverItsEnvironmentVariableEvenABadOne(t *testing.T) {
	env := envOfMap(map[string]string{"TICK": "soon", "ENABLE_LEADER_ELECTION": "true"})
	c, err := parseConfig([]string{"--tick=1s", "--enable-leader-election=false"}, env)
	if err != nil || c.tick != time.Second || bool(c.enableLeaderElection) {
		t.Errorf("got %+v, error %v", c, err)
	}
}

func TestWhatCannotBeUsedIsRefusedWithWhatToDo(t *testing.T) {
	for _, refused := range []struct{ args, want string }{
		{"--lease-duration 10s",
			"--lease-duration 10s must be longer than --renew-deadline 10s; raise it or lower the deadline"},
		{"--renew-deadline 4s",
			"--renew-deadline 4s must be longer than 2 x --retry-period 2s; raise it or lower the period"},
		{"--retry-period 2000000h",
			"--renew-deadline 10s must be longer than 2 x --retry-period 2000000h0m0s; raise it or lower the period"},
		{"--renew-deadline -2000000h --retry-period 2000000h",
			"--renew-deadline -2000000h0m0s must be longer than 2 x --retry-period 2000000h0m0s; raise it or lower the period"},
		{"--drain-timeout -1s", "--drain-timeout -1s must not be negative; give one such as 20s"},
		{"--drain-timeout never", `--drain-timeout: "never" is not a duration; give a number with its unit, such as 20s`},
		{"--lease-duration 15500ms", "--lease-duration 15.5s cannot be stored in a Lease; give whole seconds, at least 1s"},
		{"--lease-duration 0s", "--lease-duration 0s cannot be stored in a Lease; give whole seconds, at least 1s"},
		{"--lease-duration 600000h",
			"--lease-duration 600000h0m0s cannot be stored in a Lease; give whole seconds, at least 1s"},
		{"--retry-period 0s", "--retry-period 0s must be longer than zero; give one such as 2s"},
		{"--tick -1s", "--tick -1s must be longer than zero; give one such as 5s"},
		{"--tick soon", `--tick: "soon" is not a duration; give a number with its unit, such as 5s`},
		{"--tick", "--tick needs a value; give a number with its unit, such as 5s"},
		{"--enable-leader-election=maybe", `--enable-leader-election: "maybe" is not a bool; give true or false`},
		{"--enable-leader-election true", `unexpected argument "true"; give flags only, --help explains them`},
		{"--listen everywhere", `--listen "everywhere" is not an address; give IP:PORT such as [::]:8080, or nothing at all`},
		{"--log-format xml", `--log-format "xml" is unknown; give text or json`},
		{"--lease-name UPPER_case", `--lease-name "UPPER_case": expected a DNS-1123 subdomain: ` +
			"lower case letters, digits, '-' and '.', at most 253 characters"},
		{"--lease-name=", `--lease-name "": expected a DNS-1123 subdomain: ` +
			"lower case letters, digits, '-' and '.', at most 253 characters"},
		{"--lease-namespace a.b", `--lease-namespace "a.b": expected a DNS-1123 label: ` +
			"lower case letters, digits and '-', at most 63 characters"},
		{"--identity=", "--identity (POD_NAME) is empty; give a name, or leave it out"},
		{"--no-such", `unknown flag "--no-such"; --help lists the flags`},
		{"-x", `unknown flag "-x"; --help lists the flags`},
		{"---", `unknown flag "---"; --help lists the flags`},
	} {
		_, err := parseConfig(strings.Split(refused.args, " "), noEnv)
		if err == nil || err.Error() != refused.want {
			t.Errorf("%q:\n got %v\nwant %s", refused.args, err, refused.want)
		}
	}
}

func TestARefusalIsOneLineOnStderrAndExitCodeTwo(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := run([]string{"--no-such\nflag"}, &stdout, &stderr)
	want := `error: unknown flag "--no-such\nflag"; --help lists the flags` + "\n"
	if code != 2 || stdout.Len() > 0 || stderr.String() != want {
		t.Errorf("code %d, stdout %q, stderr %q", code, &stdout, &stderr)
	}
}

func TestABadEnvironmentVariableIsRefusedByItsName(t *testing.T) {
	_, err := parseConfig(nil, envOfMap(map[string]string{"RENEW_DEADLINE": ""}))
	if want := `RENEW_DEADLINE: "" is not a duration; give a number with its unit, such as 10s`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestARelationIsRefusedWithTheVariablesThatSetIt(t *testing.T) {
	env := envOfMap(map[string]string{"LEASE_DURATION": "8s", "RETRY_PERIOD": "1s"})
	_, err := parseConfig(nil, env)
	want := "--lease-duration 8s must be longer than --renew-deadline 10s; raise it or lower the deadline; " +
		"the environment sets LEASE_DURATION"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestHelpFitsATerminalOf60AndOf80Columns(t *testing.T) {
	for _, width := range []int{60, 80} {
		for line := range strings.Lines(helpText(width)) {
			if len(strings.TrimSuffix(line, "\n")) > width {
				t.Errorf("%d: %q", width, line)
			}
		}
	}
	if got, want := wrap("  a bb ccc\n\nd\n", 6), "  a bb\n  ccc\n\nd\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheVersionNamesTheProgramAndTheCommitWhereTheBuildSaysIt(t *testing.T) {
	commit = "f12ab8a"
	defer func() { commit = "" }()
	var stdout, stderr bytes.Buffer
	code := run([]string{"--version"}, &stdout, &stderr)
	if want := "still-leading-client-go 0.1.0 (f12ab8a)\n"; code != 0 || stdout.String() != want {
		t.Errorf("code %d, got %q, want %q", code, &stdout, want)
	}
}

func TestHelpGoesToStdoutAndExplainsEachFlagWithItsVariableAndDefault(t *testing.T) {
	if _, err := parseConfig([]string{"-h"}, noEnv); !errors.Is(err, pflag.ErrHelp) {
		t.Errorf("-h: %v", err)
	}
	var stdout, stderr bytes.Buffer
	if code := run([]string{"--help"}, &stdout, &stderr); code != 0 || stderr.Len() > 0 {
		t.Errorf("code %d, stderr %q", code, &stderr)
	}
	for _, part := range []string{
		"--enable-leader-election[=BOOL]\n", "[ENABLE_LEADER_ELECTION, default: false]",
		"--lease-name NAME\n", "[LEASE_NAME, default: still-leading-client-go]",
		"--lease-namespace NAME\n", "[POD_NAMESPACE, default: the pod's", "--identity NAME\n", "[POD_NAME, default: the host name]",
		"--lease-duration DURATION\n", "[LEASE_DURATION, default: 15s]", "[RENEW_DEADLINE, default: 10s]",
		"[RETRY_PERIOD, default: 2s]", "[DRAIN_TIMEOUT, default: 20s]", "[TICK, default: 5s]",
		"[ACT_DURATION, default: 0s]", "--listen ADDRESS\n", "[LISTEN, default: [::]:8080]",
		"--log-format FORMAT\n", "[LOG_FORMAT, default: text]", "Exit codes",
	} {
		if !strings.Contains(stdout.String(), part) {
			t.Errorf("%q is missing in\n%s", part, &stdout)
		}
	}
}

func TestEachProcessHasAnIdentityOfItsOwn(t *testing.T) {
	c := &config{identity: "pod-0"}
	first, _ := c.newIdentity()
	second, _ := c.newIdentity()
	if !strings.HasPrefix(first, "pod-0_") || len(first) != len("pod-0_")+8 || first == second {
		t.Errorf("%q, %q", first, second)
	}
}
