// still-leading with client-go: three replicas run, and one of them acts. Copy election.go into your project.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
	"k8s.io/client-go/tools/leaderelection"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	cfg, err := parseConfig(args, os.LookupEnv)
	var identity string
	if err == nil {
		identity, err = cfg.newIdentity()
	}
	if errors.Is(err, pflag.ErrHelp) {
		fmt.Fprint(stdout, helpText(terminalWidth(stdout)))
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "error: %s\n", err)
		return 2
	}
	if cfg.version {
		fmt.Fprint(stdout, versionText())
		return 0
	}
	out := newOutput(stdout)
	defer out.flush(flushBound)
	log := newLogger(out, cfg.logFormat, identity)
	// Before anything that takes time: process 1 of a container ignores signals that it has no handler for.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	// Without a handler, SIGPIPE ends a Go process whose standard output has lost its reader. With one, the write returns
	// an error. signal.Ignore would do the same, but credential plugins would inherit it.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	exit := func(code int) { // After a second signal. The flush may delay it, but has a bound.
		out.flush(flushBound)
		os.Exit(code)
	}
	shutdown := bridgeKlog(shutdownOn(signals, exit, log), log)
	registry := prometheus.NewRegistry()
	out.report(registry, cfg.leaseName)
	if err := lead(shutdown, cfg, identity, registry, log); err != nil {
		log.Error("exiting", "reason", err)
		return 1
	}
	return 0
}

// lead serves HTTP and does the work while this replica leads, until shutdown.
func lead(
	shutdown context.Context, cfg *config, identity string, registry *prometheus.Registry, log *slog.Logger,
) error {
	work := tickWhileLeading(cfg.tick, cfg.actDuration, log)
	var replica interface {
		status
		Run(context.Context) error
	}
	locked := newLockout(cfg.renewDeadline, log)
	locked.report(registry, cfg.leaseName)
	reportEnabled(registry, cfg.leaseName, bool(cfg.enableLeaderElection))
	if cfg.enableLeaderElection {
		kube, namespace, err := loadKube()
		if err != nil {
			return err
		}
		if cfg.leaseNamespace != "" {
			namespace = cfg.leaseNamespace
		}
		locked.watch(kube)
		// Before the first LeaderElector, which asks for it once. Without an election there is nothing to report.
		leaderelection.SetProvider(newLeaderMetrics(registry, cfg.leaseName))
		replica, err = NewElection(ElectionParams{
			LeaseName: cfg.leaseName, LeaseNamespace: namespace, Identity: identity,
			LeaseDuration: cfg.leaseDuration, RenewDeadline: cfg.renewDeadline, RetryPeriod: cfg.retryPeriod,
			DrainTimeout: cfg.drainTimeout,
		}, kube, work, log)
		if err != nil {
			return err
		}
	} else {
		_, inPod := os.LookupEnv("KUBERNETES_SERVICE_HOST")
		replica = &forLife{identity: identity, drain: cfg.drainTimeout, work: work, log: log, inPod: inPod}
	}
	if cfg.listen != "" {
		if err := serveHTTP(cfg.listen, routes(identity, withLockout{replica, locked}, registry), log); err != nil {
			return err
		}
	}
	return replica.Run(shutdown)
}

// shutdownOn returns a context that the first signal cancels. A second signal calls exit. It acts on the first signal before it
// logs it, so that a problem with the log cannot delay the shutdown.
func shutdownOn(signals <-chan os.Signal, exit func(int), log *slog.Logger) context.Context {
	shutdown, cancel := context.WithCancel(context.Background())
	go func() {
		first := <-signals
		cancel()
		log.Info("shutting down", "signal", name(first))
		second := <-signals
		log.Warn("exiting at once", "signal", name(second))
		exit(128 + int(second.(syscall.Signal))) // As a shell reports it.
	}()
	return shutdown
}

func name(s os.Signal) string {
	if s == syscall.SIGTERM {
		return "SIGTERM"
	}
	return "SIGINT"
}
