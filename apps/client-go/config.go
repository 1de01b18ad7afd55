package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"
)

const program = "still-leading-client-go"

// config has the values of the flags. parseConfig checks relations between them before the first request: an election with
// impossible timings must not start at all.
type config struct {
	enableLeaderElection boolish
	leaseName            string
	leaseNamespace       string
	identity             string
	leaseDuration        time.Duration
	renewDeadline        time.Duration
	retryPeriod          time.Duration
	drainTimeout         time.Duration
	tick                 time.Duration
	actDuration          time.Duration
	listen               string
	logFormat            string
	version              bool
}

func (c *config) flags() *pflag.FlagSet {
	flags := pflag.NewFlagSet(program, pflag.ContinueOnError)
	flags.SortFlags = false // In the order of the contract, which is the order in which one reads them.
	flags.Usage = func() {} // Help is printed by run, and never beside an error.
	flags.VarPF(&c.enableLeaderElection, "enable-leader-election", "",
		"Take part in the election. Without it no cluster is needed: this single replica leads for life").NoOptDefVal = "true"
	flags.StringVar(&c.leaseName, "lease-name", program, "Name of the Lease that the replicas compete for")
	flags.StringVar(&c.leaseNamespace, "lease-namespace", "", "Namespace of the Lease")
	flags.StringVar(&c.identity, "identity", "",
		"This replica's name. A random part is added, since a restarted container keeps its pod's name and must not "+
			"mistake the lease of its predecessor for its own")
	flags.DurationVar(&c.leaseDuration, "lease-duration", 15*time.Second,
		"How long a standby waits after the last renewal it saw before it takes over; whole seconds, since a Lease "+
			"stores seconds")
	flags.DurationVar(&c.renewDeadline, "renew-deadline", 10*time.Second,
		"How long a leader retries a failing renewal before it gives up")
	flags.DurationVar(&c.retryPeriod, "retry-period", 2*time.Second,
		"Pause between two attempts; client-go adds up to 1.2 times as much to a standby's")
	flags.DurationVar(&c.drainTimeout, "drain-timeout", 20*time.Second,
		"How long the work may take to end after SIGTERM; the lease is renewed meanwhile. Keep it below the pod's "+
			"terminationGracePeriodSeconds, with room for the release. The end of the term ends the wait earlier.")
	flags.DurationVar(&c.tick, "tick", 5*time.Second, "How often the leader acts")
	flags.DurationVar(&c.actDuration, "act-duration", 0,
		"How long an act takes. Neither SIGTERM nor the end of the term can interrupt it. After SIGTERM the replica "+
			"waits for it, and renews the lease meanwhile. An act that outlasts the lease ends the process, with exit "+
			"code 1.")
	flags.StringVar(&c.listen, "listen", "[::]:8080",
		"Address for /healthz, /readyz, /leader and /metrics; port 0 lets the kernel choose, empty serves nothing. [::] "+
			"is all addresses, of IPv4 and of IPv6; of IPv4 alone on a machine without IPv6")
	flags.StringVar(&c.logFormat, "log-format", "text", "Form of the log lines on standard output: text or json")
	flags.BoolVar(&c.version, "version", false, "Print the version, and exit")
	return flags
}

// envOf returns the environment variable of a flag; --version has none. The two exceptions are names to which people usually map
// the downward API.
func envOf(flag string) string {
	switch flag {
	case "version":
		return ""
	case "lease-namespace":
		return "POD_NAMESPACE"
	case "identity":
		return "POD_NAME"
	}
	return strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// parseConfig returns pflag.ErrHelp when help is asked for; any other error is one line that ends with what to do.
func parseConfig(args []string, env func(string) (string, bool)) (*config, error) {
	c := &config{}
	flags := c.flags()
	if err := flags.Parse(args); err != nil {
		return nil, explain(err)
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q; give flags only, --help explains them", flags.Arg(0))
	}
	var failed error
	var fromEnv []*pflag.Flag
	flags.VisitAll(func(flag *pflag.Flag) {
		value, set := env(envOf(flag.Name))
		if !set || flag.Changed || failed != nil || envOf(flag.Name) == "" {
			return
		}
		fromEnv = append(fromEnv, flag)
		if err := flags.Set(flag.Name, value); err != nil {
			failed = badValue(envOf(flag.Name), value, flag)
		}
	})
	if failed != nil {
		return nil, failed
	}
	// A flag may be left out, but not set to nothing: then a variable did not expand.
	for _, name := range []string{"lease-namespace", "identity"} {
		if flag := flags.Lookup(name); flag.Changed && flag.Value.String() == "" {
			return nil, fmt.Errorf("--%s (%s) is empty; give a name, or leave it out", name, envOf(name))
		}
	}
	return c, nameVariables(c.check(), fromEnv)
}

// nameVariables adds the variables that have set the flags in an error. In a pod, nobody gives flags.
func nameVariables(err error, fromEnv []*pflag.Flag) error {
	var variables []string
	for _, flag := range fromEnv {
		if err != nil && strings.Contains(err.Error(), "--"+flag.Name+" ") {
			variables = append(variables, envOf(flag.Name))
		}
	}
	if len(variables) == 0 {
		return err
	}
	return fmt.Errorf("%w; the environment sets %s", err, strings.Join(variables, " and "))
}

// explain puts an error of pflag into one line, with advice.
func explain(err error) error {
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	var nameless *pflag.InvalidSyntaxError
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return err
	case errors.As(err, &unknown):
		name := "--" + unknown.GetSpecifiedName()
		if short := unknown.GetSpecifiedShortnames(); short != "" {
			name = "-" + short
		}
		return fmt.Errorf("unknown flag %q; --help lists the flags", name)
	case errors.As(err, &missing):
		flag := missing.GetFlag()
		return fmt.Errorf("--%s needs a value; %s", flag.Name, adviceFor(flag))
	case errors.As(err, &invalid):
		return badValue("--"+invalid.GetFlag().Name, invalid.GetValue(), invalid.GetFlag())
	case errors.As(err, &nameless):
		return fmt.Errorf("unknown flag %q; --help lists the flags", nameless.GetSpecifiedFlag())
	default:
		return fmt.Errorf("%q; --help explains the flags", err)
	}
}

func badValue(source, value string, flag *pflag.Flag) error {
	return fmt.Errorf("%s: %q is not a %s; %s", source, value, flag.Value.Type(), adviceFor(flag))
}

func adviceFor(flag *pflag.Flag) string {
	switch flag.Value.Type() {
	case "duration":
		return "give a number with its unit, such as " + flag.DefValue
	case "bool":
		return "give true or false"
	}
	return "--help explains it"
}

func (c *config) check() error {
	if c.logFormat != "text" && c.logFormat != "json" {
		return fmt.Errorf("--log-format %q is unknown; give text or json", c.logFormat)
	}
	if c.listen != "" {
		if _, err := netip.ParseAddrPort(c.listen); err != nil {
			return fmt.Errorf("--listen %q is not an address; give IP:PORT such as [::]:8080, or nothing at all", c.listen)
		}
	}
	if len(validation.IsDNS1123Subdomain(c.leaseName)) > 0 {
		return fmt.Errorf("--lease-name %q: expected a DNS-1123 subdomain: "+
			"lower case letters, digits, '-' and '.', at most 253 characters", c.leaseName)
	}
	if c.leaseNamespace != "" && len(validation.IsDNS1123Label(c.leaseNamespace)) > 0 {
		return fmt.Errorf("--lease-namespace %q: expected a DNS-1123 label: "+
			"lower case letters, digits and '-', at most 63 characters", c.leaseNamespace)
	}
	return c.checkDurations()
}

func (c *config) checkDurations() error {
	lease, deadline, retry := c.leaseDuration, c.renewDeadline, c.retryPeriod
	switch {
	case retry <= 0:
		return fmt.Errorf("--retry-period %s must be longer than zero; give one such as 2s", retry)
	case c.tick <= 0:
		return fmt.Errorf("--tick %s must be longer than zero; give one such as 5s", c.tick)
	// client-go would cut 15.5s to 15s in the Lease, and wrap a number that does not fit, both without a message.
	case lease < time.Second || lease%time.Second != 0 || lease/time.Second > math.MaxInt32:
		return fmt.Errorf("--lease-duration %s cannot be stored in a Lease; give whole seconds, at least 1s", lease)
	case lease <= deadline:
		return fmt.Errorf("--lease-duration %s must be longer than --renew-deadline %s; raise it or lower the deadline",
			lease, deadline)
	// Two attempts must fit, also if the first one hangs; client-go asks for 1.2. Compared without a product, which may overflow.
	case deadline <= retry || deadline-retry <= retry:
		return fmt.Errorf("--renew-deadline %s must be longer than 2 x --retry-period %s; raise it or lower the period",
			deadline, retry)
	case c.actDuration < 0:
		return fmt.Errorf("--act-duration %s must not be negative; give one such as 1s", c.actDuration)
	case c.drainTimeout < 0:
		return fmt.Errorf("--drain-timeout %s must not be negative; give one such as 20s", c.drainTimeout)
	}
	return nil
}

// newIdentity returns a name that is unique for each process. client-go takes every claim under its own identity for its own.
// So a restarted container with a bare pod name would lead at once, beside what its predecessor has left running.
func (c *config) newIdentity() (string, error) {
	name := c.identity
	if name == "" {
		var err error
		if name, err = os.Hostname(); err != nil {
			return "", fmt.Errorf("the host has no name (%w); give one with --identity", err)
		}
	}
	var incarnation [4]byte
	rand.Read(incarnation[:]) // Never fails, says its documentation: the process would end instead.
	return name + "_" + hex.EncodeToString(incarnation[:]), nil
}

// boolish accepts the values of the Rust variants, so that one Deployment fits all variants.
type boolish bool

func (b *boolish) Set(text string) error {
	switch strings.ToLower(text) {
	case "true", "t", "yes", "y", "on", "1":
		*b = true
	case "false", "f", "no", "n", "off", "0":
		*b = false
	default:
		return errors.New("neither true nor false")
	}
	return nil
}

func (b *boolish) String() string { return fmt.Sprint(bool(*b)) }
func (b *boolish) Type() string   { return "bool" }
