// Leader election with client-go's leaderelection package. This file is the template. It names nothing from the rest of the
// folder, so it can be copied as it is.
//
// Promised by client-go: if several candidates race for the lease, at most one wins, since every write carries the
// resourceVersion that it replaces. Other clocks do not matter, since expiry is measured on the local one. An error is retried
// until the renew deadline.
//
// Promised by this file: at a shutdown the work ends before the lease is released, and the lease is renewed until then. The end
// of the term bounds this wait. After a loss the work ends before this replica contends again. Work that does not end makes the
// process end. Work that panics or returns by itself does so too, after the lease was released.
//
// Not promised by client-go. Each has its test in yardstick_test.go, except for the pause, which takes a real process:
//   - to stop at once: on sight of another holder, or after a pause longer than the lease, it leads on for up to the renew
//     deadline;
//   - to stop before the lease expires: after it has given up, it first tries to release (with ReleaseOnCancel, as here), and
//     cancels the work's context only then; and it counts validity from the answer to a renewal, not from when that was sent;
//   - to respect a lease that somebody deleted: the next candidate creates it at once, although another may still lead;
//   - to release what it acquired when it is stopped in that very moment, or to retry a release that fails;
//   - to distinguish its own claim from one that somebody else wrote in its name;
//   - to keep the lease when its wall clock stands still, since its renewals then look like no change;
//   - to limit the wait for a holder that is gone, which is as long as the holder asked for;
//   - to show its deadline, or anything that could serve as a fencing token (nothing to test).
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// ElectionParams has everything that client-go lets one choose, so that nothing depends on its defaults.
type ElectionParams struct {
	LeaseName      string
	LeaseNamespace string
	// Identity must be unique among all processes that ever ran: client-go takes a claim under its identity for its own.
	Identity      string
	LeaseDuration time.Duration
	RenewDeadline time.Duration
	RetryPeriod   time.Duration
	// DrainTimeout is how long the work may take to end after a shutdown began. The lease is renewed meanwhile.
	DrainTimeout time.Duration
}

// Election runs the work whenever this replica leads.
type Election struct {
	params   ElectionParams
	lock     resourcelock.Interface
	work     func(context.Context)
	log      *slog.Logger
	watchDog *leaderelection.HealthzAdaptor

	mutex    sync.Mutex
	elector  *leaderelection.LeaderElector
	term     *term
	reported string // The leader that was logged last.
}

// NewElection prepares an election for work. The work is started anew for each term. It must return soon after its context is
// cancelled, and not earlier. No request is sent yet.
func NewElection(
	params ElectionParams, kube *rest.Config, work func(context.Context), log *slog.Logger,
) (*Election, error) {
	// A client of its own, so that no other request queues before a renewal. The time-out is half the renew deadline, as in
	// resourcelock.NewFromKubeconfig: after a request that hangs there is time for another.
	config := rest.CopyConfig(kube)
	config.Timeout = max(params.RenewDeadline/2, time.Second)
	client, err := coordination.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("building the client for the lease: %w", err)
	}
	return newElection(params, &hintingLock{Interface: &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: params.LeaseNamespace, Name: params.LeaseName},
		Client:     client,
		LockConfig: resourcelock.ResourceLockConfig{Identity: params.Identity},
	}, log: log}, work, log), nil
}

// hintingLock logs what to do about a lease that does not exist and that this account may not create. It does so once until the
// lease was read again. client-go itself repeats the error at every attempt.
type hintingLock struct {
	resourcelock.Interface
	log  *slog.Logger
	said bool // Only the goroutine of the elector uses the lock.
}

func (l *hintingLock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.Interface.Get(ctx)
	l.said = l.said && err != nil
	return record, raw, err
}

func (l *hintingLock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	err := l.Interface.Create(ctx, record)
	if apierrors.IsForbidden(err) && !l.said {
		l.said = true
		l.log.Warn("the lease does not exist: apply it again, or let the Role create it (in the kit, "+
			"the component create-lease/by-post)", "error", err)
	}
	return err
}

func newElection(
	params ElectionParams, lock resourcelock.Interface, work func(context.Context), log *slog.Logger,
) *Election {
	return &Election{
		params: params, lock: lock, work: work, log: log,
		// No tolerance: a leader past its lease is unhealthy from the first moment, and the probe decides how often it may see that
		// before it acts. (Kubernetes' components allow 20 s, since their health answers ended the process at once.) A standby is
		// never unhealthy, with or without an API server.
		watchDog: leaderelection.NewLeaderHealthzAdaptor(0),
	}
}

// Run contends, leads, and contends again, until shutdown is cancelled. Then the work ends, the lease is released, and Run
// returns nil. After an error work may still be running, and the process must end.
func (e *Election) Run(shutdown context.Context) error {
	defer e.sayIfNeverReady(2 * e.params.LeaseDuration).Stop()
	for shutdown.Err() == nil {
		if err := e.contend(shutdown); err != nil {
			return err
		}
	}
	return nil
}

// Leader returns the identity of the last leader seen, or nothing.
func (e *Election) Leader() string {
	if elector := e.currentElector(); elector != nil {
		return elector.GetLeader()
	}
	return ""
}

// Leading returns whether the work may run. LeaderElector.IsLeader differs: it stays true while the work drains.
func (e *Election) Leading() bool {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return e.term != nil && e.term.working.Err() == nil
}

// Ready returns whether a leader has ever been seen, this replica or another.
func (e *Election) Ready() bool {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return e.reported != ""
}

// sayIfNeverReady logs the usual causes once, if the election sees no leader within bound. client-go logs only the symptom, a
// failed request.
func (e *Election) sayIfNeverReady(bound time.Duration) *time.Timer {
	return time.AfterFunc(bound, func() {
		if !e.Ready() {
			e.log.Warn(fmt.Sprintf("the lease was not seen for %s: look whether it exists and this account may read it, and "+
				"whether a NetworkPolicy or a firewall lets this pod out to the API server's port", bound))
		}
	})
}

// Healthy returns an error while this replica leads past its lease.
func (e *Election) Healthy() error { return e.watchDog.Check(nil) }

// contend runs one LeaderElector, whose Run is one-shot, until the lease was lost or a shutdown begins.
func (e *Election) contend(shutdown context.Context) error {
	workEnded := make(chan struct{})
	elector, err := e.newElector(shutdown, workEnded)
	if err != nil {
		return fmt.Errorf("configuring the elector: %w", err)
	}
	// Not a child of shutdown, since the lease must be renewed while the work drains. Never cancelled by a defer, since that would
	// release the lease of work that still runs.
	electing, release := context.WithCancel(context.WithoutCancel(shutdown))
	electorEnded := make(chan struct{})
	e.log.Info("attempting to acquire leader lease", "lease", e.lock.Describe(), "identity", e.lock.Identity())
	go func() {
		defer close(electorEnded)
		elector.Run(electing)
	}()
	releaseLease := func() {
		release()
		select {
		case <-electorEnded:
		case <-time.After(e.params.RenewDeadline): // client-go bounds its release by the same time.
			e.log.Warn("could not release the lease, it expires by itself", "reason", "no answer in time")
		}
	}

	reason := "shutting down"
	select {
	case <-shutdown.Done():
	case <-electorEnded:
		reason = "leader election lost"
	case <-workEnded:
		err = errWorkEnded
	}
	if term := e.takeTerm(); term != nil {
		if err == nil {
			// A drain may take long, since the lease is renewed meanwhile. After the end of the term the work has only
			// lease duration - renew deadline.
			bounds := limits{drain: e.params.DrainTimeout, grace: e.params.LeaseDuration - e.params.RenewDeadline}
			over := func() string { return e.over(elector) }
			if overdue := term.end(reason, electorEnded, over, bounds, e.log); overdue != nil {
				return overdue // The work still runs, so the lease is kept.
			}
		}
		if term.panicked != nil {
			err = term.panicked
		}
	}
	releaseLease()
	return err
}

// over returns why the term is over, or nothing while it lasts. client-go acts on this only after it has retried for the renew
// deadline and tried to release.
func (e *Election) over(elector *leaderelection.LeaderElector) string {
	if !elector.IsLeader() {
		return "the lease is held by " + elector.GetLeader()
	}
	// Fails if the last renewal is older than the lease duration plus this tolerance, which is negative.
	if elector.Check(e.params.RenewDeadline-e.params.LeaseDuration) != nil {
		return "the term ran out"
	}
	return ""
}

func (e *Election) newElector(
	shutdown context.Context, workEnded chan<- struct{},
) (*leaderelection.LeaderElector, error) {
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:            e.lock,
		LeaseDuration:   e.params.LeaseDuration,
		RenewDeadline:   e.params.RenewDeadline,
		RetryPeriod:     e.params.RetryPeriod,
		Name:            e.params.LeaseName,
		ReleaseOnCancel: true, // Safe only because contend cancels after the work has ended.
		WatchDog:        e.watchDog,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(leading context.Context) {
				term := e.beginTerm(leading, shutdown)
				if term == nil {
					return
				}
				if <-term.ended; term.working.Err() == nil {
					close(workEnded)
				}
			},
			OnStoppedLeading: func() {}, // Required, and called even if it never led. contend waits for Run instead.
			OnNewLeader:      e.reportLeader,
		},
	})
	if err != nil {
		return nil, err
	}
	e.watchDog.SetLeaderElection(elector) // Only RunOrDie would do that for us.
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.elector = elector
	return elector, nil
}

// beginTerm starts the work. client-go calls it in a goroutine that nobody waits for. So it may be called when its term is
// already over, or when the shutdown has begun, and then there is no term. contend takes the term after either has happened,
// under the same mutex, so it cannot miss one.
func (e *Election) beginTerm(leading, shutdown context.Context) *term {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if leading.Err() != nil || shutdown.Err() != nil {
		return nil
	}
	e.term = startTerm(leading, e.work, e.log)
	return e.term
}

// takeTerm makes Leading false, and returns the term for which to wait.
func (e *Election) takeTerm() *term {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	taken := e.term
	e.term = nil
	return taken
}

func (e *Election) reportLeader(identity string) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	// Empty after a release. Known already when a new LeaderElector meets the leader that its predecessor saw.
	if identity == "" || identity == e.reported {
		return
	}
	e.reported = identity
	e.log.Info("new leader", "leader", identity)
}

func (e *Election) currentElector() *leaderelection.LeaderElector {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return e.elector
}

// errWorkEnded is a failure, since an idle leader would keep every other replica from working.
var errWorkEnded = errors.New("the work ended by itself")

// term is one unbroken spell of leadership and its work.
type term struct {
	working  context.Context
	cancel   context.CancelFunc
	ended    chan struct{}
	panicked error // Written before ended is closed.
}

func startTerm(leading context.Context, work func(context.Context), log *slog.Logger) *term {
	working, cancel := context.WithCancel(leading)
	t := &term{working: working, cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(t.ended)
		// A panic that ends the process would leave a lease behind that nobody uses. Work with goroutines of its own must recover in
		// each of them.
		defer func() {
			if cause := recover(); cause != nil {
				t.panicked = fmt.Errorf("the work panicked: %v", cause)
				log.Error("the work panicked", "panic", cause, "stack", string(debug.Stack()))
			}
		}()
		work(working)
	}()
	return t
}

// limits are how long work may take to end: drain while the lease is renewed, grace after its term is over.
type limits struct{ drain, grace time.Duration }

// endCheck is how often a term whose work drains checks whether it is over.
const endCheck = 50 * time.Millisecond

// end cancels the work and waits for it. An error means that the work still runs. The term is over when lost is closed, or
// when over gives a reason.
func (t *term) end(reason string, lost <-chan struct{}, over func() string, bounds limits, log *slog.Logger) error {
	t.cancel()
	bound := bounds.drain
	deadline := time.After(bound)
	check := time.NewTicker(endCheck)
	defer check.Stop()
	for {
		why := ""
		select {
		case <-t.ended:
			log.Info("stopped leading", "reason", reason)
			return nil
		case <-deadline:
			return fmt.Errorf("the work did not stop within %s (%s)", bound, reason)
		case <-lost:
			why = "leader election lost"
		case <-check.C:
			why = over()
		}
		if why != "" {
			bound, reason = bounds.grace, why
			deadline, lost = time.After(bound), nil
			check.Stop() // Once over, a term stays over.
		}
	}
}
