// A replica of the demo as it was before its Leases: an old client-go with the lock that holds a ConfigMap and a Lease, for the
// test of a fleet that moves from this lock to Leases alone. It takes the flags of a variant and logs its events.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

type options struct {
	leaseName     string
	identity      string
	leaseDuration time.Duration
	renewDeadline time.Duration
	retryPeriod   time.Duration
	tick          time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.leaseName, "lease-name", "", "name of the ConfigMap and of the Lease")
	flag.StringVar(&o.identity, "identity", "", "this replica's name; a random part is added")
	flag.DurationVar(&o.leaseDuration, "lease-duration", 15*time.Second, "LeaseDuration")
	flag.DurationVar(&o.renewDeadline, "renew-deadline", 10*time.Second, "RenewDeadline")
	flag.DurationVar(&o.retryPeriod, "retry-period", 2*time.Second, "RetryPeriod")
	flag.DurationVar(&o.tick, "tick", 5*time.Second, "how often the leader acts")
	// A variant takes these as well. Here the election is always on, the log is JSON, and nothing is served.
	flag.Bool("enable-leader-election", true, "ignored")
	flag.String("log-format", "json", "ignored")
	flag.String("listen", "", "ignored")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	var incarnation [4]byte
	rand.Read(incarnation[:])
	log := &eventLog{identity: o.identity + "_" + hex.EncodeToString(incarnation[:])}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)

	working, stopWorking := context.WithCancel(context.Background())
	defer stopWorking()
	var acting sync.Mutex // Held by the work for as long as it may act.
	elector, err := newElector(o, log, func(leading context.Context) {
		acting.Lock()
		defer acting.Unlock()
		act(leading, working, o.tick, log)
	})
	if err != nil {
		return err
	}
	electing, release := context.WithCancel(context.Background())
	defer release()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		elector.Run(electing)
	}()

	reason := "shutting down"
	select {
	case <-signals:
		log.event(reason, nil)
	case <-ended:
		reason = "leader election lost"
		err = errors.New(reason)
	}
	stopWorking()
	acting.Lock() // The lease may be released only when the work has ended.
	release()
	<-ended
	log.event("stopped leading", map[string]any{"reason": reason})
	return err
}

func newElector(o options, log *eventLog, lead func(context.Context)) (*leaderelection.LeaderElector, error) {
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), &clientcmd.ConfigOverrides{})
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, fmt.Errorf("reading the namespace from the kubeconfig: %w", err)
	}
	lock, err := resourcelock.NewFromKubeconfig(resourcelock.ConfigMapsLeasesResourceLock, namespace, o.leaseName,
		resourcelock.ResourceLockConfig{Identity: log.identity}, config, o.renewDeadline)
	if err != nil {
		return nil, fmt.Errorf("making the lock: %w", err)
	}
	log.event("attempting to acquire leader lease", map[string]any{"lease": lock.Describe()})
	return leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:            lock,
		LeaseDuration:   o.leaseDuration,
		RenewDeadline:   o.renewDeadline,
		RetryPeriod:     o.retryPeriod,
		Name:            o.leaseName,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: lead,
			OnStoppedLeading: func() {},
			OnNewLeader: func(leader string) {
				if leader != "" { // As after a release.
					log.event("new leader", map[string]any{"leader": leader})
				}
			},
		},
	})
}

// act is the work of the leader, until its term or the process is to end.
func act(leading, working context.Context, tick time.Duration, log *eventLog) {
	if leading.Err() != nil || working.Err() != nil {
		return
	}
	log.event("leading", nil)
	defer log.event("leading cancelled", nil)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for n := 1; ; n++ {
		select {
		case <-leading.Done():
			return
		case <-working.Done():
			return
		case <-ticker.C:
		}
		if leading.Err() != nil || working.Err() != nil {
			return
		}
		log.event("still leading", map[string]any{"n": n})
	}
}

// eventLog writes one event a line, as the variants do with --log-format json.
type eventLog struct {
	identity string
	mutex    sync.Mutex
}

func (l *eventLog) event(message string, fields map[string]any) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	var monotonic unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &monotonic); err != nil {
		panic(err) // Without its time a line is worth nothing.
	}
	line := map[string]any{
		"timestamp": time.Now().UTC().Format(time.RFC3339Nano), "level": "INFO", "message": message,
		"identity": l.identity, "monotonic_ns": monotonic.Nano(),
	}
	for name, value := range fields {
		line[name] = value
	}
	if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
		panic(err)
	}
}
