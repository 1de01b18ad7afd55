package main

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// slowWork takes longer to end than a retry period, so that a renewal is due meanwhile.
func slowWork(log *events) func(context.Context) {
	return func(ctx context.Context) {
		log.add("work begins")
		<-ctx.Done()
		time.Sleep(3500 * time.Millisecond)
		log.add("work ends")
	}
}

func expectEvents(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("events:\n got %q\nwant %q", got, want)
	}
}

func TestAtAShutdownTheWorkEndsBeforeTheLeaseIsReleasedAndTheLeaseIsRenewedMeanwhile(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leaseServer) {
		a := startReplica("a", server, slowWork(server.log))
		after(time.Second)
		if !a.Leading() || !a.Ready() || a.Leader() != "a" {
			t.Errorf("leading %t, ready %t, leader %q", a.Leading(), a.Ready(), a.Leader())
		}
		before := len(server.log.all())
		a.stop()
		after(100 * time.Millisecond)
		if a.Leading() {
			t.Error("leading while the work drains")
		}
		if err := a.end(); err != nil {
			t.Errorf("error %v", err)
		}
		expectEvents(t, server.log.all()[before:],
			`holder "a"`, `holder "a"`, "work ends", "stopped leading: shutting down", `holder ""`)
	})
}

func TestAfterALossTheWorkEndsBeforeTheReplicaContendsAgainAndThenItLeadsAnew(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leaseServer) {
		a := startReplica("a", server, slowWork(server.log))
		after(time.Second)
		a.lock.partitioned.Store(true)
		after(25 * time.Second)
		before := slices.Index(server.log.all(), "work ends")
		a.lock.partitioned.Store(false)
		after(25 * time.Second)
		if before < 0 || !a.Leading() {
			t.Fatalf("work ended at %d, leading %t", before, a.Leading())
		}
		got := slices.Compact(server.log.all()[before:])
		// No second `new leader`: nobody else has led in between.
		expectEvents(t, got, "work ends", "stopped leading: leader election lost", "attempting to acquire leader lease",
			`holder "a"`, "work begins", `holder "a"`)
		a.stop()
		if err := a.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestWorkThatOutlivesALostLeaseIsAnError(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leaseServer) {
		endless := make(chan struct{})
		a := startReplica("a", server, func(context.Context) { <-endless })
		after(time.Second)
		a.lock.partitioned.Store(true)
		err := a.end()
		if err == nil || err.Error() != "the work did not stop within 5s (leader election lost)" {
			t.Errorf("error %v", err)
		}
		if slices.Contains(server.log.all(), "stopped leading: leader election lost") {
			t.Error("says that it stopped leading while the work runs")
		}
		close(endless)
	})
}

func TestWorkThatDoesNotDrainIsAnErrorAndItsLeaseIsNotReleased(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leaseServer) {
		endless := make(chan struct{})
		a := startReplica("a", server, func(context.Context) { <-endless })
		after(time.Second)
		stopped := time.Now()
		a.stop()
		err := a.end()
		if want := "the work did not stop within 20s (shutting down)"; err == nil || err.Error() != want {
			t.Errorf("error %v", err)
		}
		if took := time.Since(stopped); took != params.DrainTimeout {
			t.Errorf("after %s", took)
		}
		after(time.Minute)
		if server.holder() != "a" {
			t.Errorf("released to %q while the work runs", server.holder())
		}
		a.lock.gone.Store(true) // Only the end of the process would end this elector.
		close(endless)
		after(params.RetryPeriod)
	})
}

func TestALeaseLostWhileTheWorkDrainsLeavesItTheGraceOnly(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leaseServer) {
		endless := make(chan struct{})
		a := startReplica("a", server, func(context.Context) { <-endless })
		after(time.Second)
		a.lock.gone.Store(true) // The elector ends within a retry period, long before the drain's own limit.
		stopped := time.Now()
		a.stop()
		err := a.end()
		if took := time.Since(stopped); err == nil || took > params.RetryPeriod+5*time.Second {
			t.Errorf("error %v after %s", err, took)
		}
		close(endless)
	})
}

// The API server has been away for nine seconds when the shutdown begins.
func TestATermThatEndsWhileTheWorkDrainsBoundsTheDrain(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leaseServer) {
		a := startReplica("a", server, func(ctx context.Context) {
			<-ctx.Done()
			time.Sleep(8 * time.Second)
		})
		after(time.Millisecond) // Renewed just now.
		renewed := time.Now()
		a.lock.partitioned.Store(true)
		after(9 * time.Second)
		a.stop()
		err := a.end()
		if want := "the work did not stop within 5s (the term ran out)"; err == nil || err.Error() != want {
			t.Errorf("error %v", err)
		}
		if took := time.Since(renewed); took > params.LeaseDuration+100*time.Millisecond {
			t.Errorf("the work had %s since the last renewal", took)
		}
		a.lock.gone.Store(true)
		after(time.Minute)
	})
}

func TestATermThatEndsWhileTheWorkDrainsIsNoErrorIfTheWorkEndsInTime(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leaseServer) {
		a := startReplica("a", server, slowWork(server.log))
		after(time.Millisecond)
		a.lock.partitioned.Store(true)
		after(9 * time.Second)
		a.stop()
		after(4 * time.Second)
		a.lock.partitioned.Store(false)
		if err := a.end(); err != nil {
			t.Errorf("error %v", err)
		}
		if log := server.log.all(); !slices.Contains(log, "stopped leading: the term ran out") {
			t.Errorf("events: %q", log)
		}
	})
}

func TestAnotherHolderSeenWhileTheWorkDrainsBoundsTheDrain(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leaseServer) {
		endless := make(chan struct{})
		a := startReplica("a", server, func(context.Context) { <-endless })
		after(time.Second)
		server.become(&resourcelock.LeaderElectionRecord{HolderIdentity: "other", LeaseDurationSeconds: 15})
		stopped := time.Now()
		a.stop()
		err := a.end()
		if want := "the work did not stop within 5s (the lease is held by other)"; err == nil || err.Error() != want {
			t.Errorf("error %v", err)
		}
		if took := time.Since(stopped); took > params.RetryPeriod+5*time.Second {
			t.Errorf("after %s", took)
		}
		a.lock.gone.Store(true)
		close(endless)
		after(time.Minute)
	})
}

func TestWorkThatPanicsIsAnErrorAndItsLeaseIsReleased(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leaseServer) {
		a := startReplica("a", server, func(context.Context) {
			time.Sleep(3 * time.Second)
			panic("at noon")
		})
		if err := a.end(); err == nil || err.Error() != "the work panicked: at noon" {
			t.Errorf("error %v", err)
		}
		if server.holder() != "" {
			t.Errorf("still held by %q", server.holder())
		}
	})
}

func TestWorkThatPanicsWhileItDrainsIsAnErrorAndItsLeaseIsReleased(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leaseServer) {
		a := startReplica("a", server, func(ctx context.Context) {
			<-ctx.Done()
			panic("too late")
		})
		after(time.Second)
		a.stop()
		if err := a.end(); err == nil || err.Error() != "the work panicked: too late" {
			t.Errorf("error %v", err)
		}
		if server.holder() != "" {
			t.Errorf("still held by %q", server.holder())
		}
	})
}

func TestWorkThatEndsByItselfIsAnErrorAndItsLeaseIsReleased(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leaseServer) {
		a := startReplica("a", server, func(context.Context) { time.Sleep(3 * time.Second) })
		if err := a.end(); err != errWorkEnded {
			t.Errorf("error %v", err)
		}
		if server.holder() != "" {
			t.Errorf("still held by %q", server.holder())
		}
	})
}

func TestATermThatIsOverWhenClientGoGetsToItNeverBegins(t *testing.T) {
	e := newElection(params, &candidate{}, func(context.Context) { t.Error("works") }, slog.New(&events{}))
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for _, late := range []*term{e.beginTerm(over, t.Context()), e.beginTerm(t.Context(), over)} {
		if late != nil || e.Leading() {
			t.Error("began")
			<-late.ended
		}
	}
}

func TestLeadingIsOverAsSoonAsClientGoSaysSo(t *testing.T) {
	e := newElection(params, &candidate{}, func(context.Context) {}, slog.New(&events{}))
	leading, cancel := context.WithCancel(t.Context())
	begun := e.beginTerm(leading, t.Context())
	before := e.Leading()
	cancel()
	if !before || e.Leading() {
		t.Errorf("leading before %t, after %t", before, e.Leading())
	}
	<-begun.ended
}

func TestAReleasedLeaseIsNoNewLeader(t *testing.T) {
	log := &events{}
	e := newElection(params, &candidate{}, nil, slog.New(log))
	for _, leader := range []string{"", "other", "", "other"} {
		e.reportLeader(leader)
	}
	expectEvents(t, log.all(), "new leader: other")
}

func TestAfterALossAShutdownHasNothingToStop(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leaseServer) {
		a := startReplica("a", server, nil)
		after(time.Second)
		a.lock.partitioned.Store(true)
		after(time.Minute)
		a.stop()
		if err := a.end(); err != nil {
			t.Error(err)
		}
		got := server.log.all()
		lost := "stopped leading: leader election lost"
		expectEvents(t, got[max(slices.Index(got, lost), 0):], lost, "attempting to acquire leader lease")
	})
}

func TestAStandbyIsReadyAndHealthyAndItsShutdownChangesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leaseServer) {
		server.become(&resourcelock.LeaderElectionRecord{HolderIdentity: "other", LeaseDurationSeconds: 15})
		a := startReplica("a", server, slowWork(server.log))
		after(5 * time.Second)
		if a.Leading() || !a.Ready() || a.Healthy() != nil || a.Leader() != "other" {
			t.Errorf("leading %t, ready %t, healthy %v, leader %q", a.Leading(), a.Ready(), a.Healthy(), a.Leader())
		}
		a.stop()
		if err := a.end(); err != nil {
			t.Errorf("error %v", err)
		}
		expectEvents(t, server.log.all(), `holder "other"`, "attempting to acquire leader lease", "new leader: other")
	})
}

func TestAReplicaThatHasNeverReachedTheServerIsHealthyAndNotReady(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leaseServer) {
		p := startReplica("a", server, nil)
		p.lock.partitioned.Store(true)
		after(time.Minute)
		if p.Ready() || p.Healthy() != nil || p.Leader() != "" {
			t.Errorf("ready %t, healthy %v, leader %q", p.Ready(), p.Healthy(), p.Leader())
		}
		p.stop()
		if err := p.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestOneOfThreeLeadsAndASecondOneAsSoonAsTheFirstHasReleased(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leaseServer) {
		replicas := []*replica{startReplica("a", server, nil), startReplica("b", server, nil), startReplica("c", server, nil)}
		leaders := func() (leading []*replica) {
			for _, r := range replicas {
				if r.Leading() {
					leading = append(leading, r)
				}
			}
			return leading
		}
		after(time.Minute)
		first := leaders()
		if len(first) != 1 {
			t.Fatalf("%d lead", len(first))
		}
		first[0].stop()
		if err := first[0].end(); err != nil {
			t.Error(err)
		}
		after(4400 * time.Millisecond) // The longest that client-go's jitter makes of a retry period.
		if second := leaders(); len(second) != 1 || second[0] == first[0] {
			t.Errorf("%d lead after the first one's shutdown", len(second))
		}
		for _, r := range replicas {
			r.stop()
		}
		for _, r := range replicas {
			if r != first[0] {
				if err := r.end(); err != nil {
					t.Error(err)
				}
			}
		}
	})
}

func TestALeaseThatIsNeverSeenIsWorthOneWordAboutThePolicy(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leaseServer) {
		a := startReplica("a", server, nil)
		a.lock.partitioned.Store(true)
		logged := func() int {
			return len(slices.DeleteFunc(server.log.all(), func(line string) bool { return !strings.Contains(line, "NetworkPolicy") }))
		}
		after(29 * time.Second)
		if logged() != 0 {
			t.Error("logged too early")
		}
		after(5 * time.Minute)
		if logged() != 1 {
			t.Errorf("logged %d times", logged())
		}
		a.stop()
		if err := a.end(); err != nil {
			t.Errorf("error %v", err)
		}
	})
}

// goneLock is a lease that does not exist and that nobody may create.
type goneLock struct{ resourcelock.Interface }

func (goneLock) Create(context.Context, resourcelock.LeaderElectionRecord) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: "leases"}, "lease", nil)
}

func (goneLock) Get(context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	return &resourcelock.LeaderElectionRecord{}, nil, nil
}

func TestWhatToDoAboutALeaseThatIsGoneIsSaidOnceUntilItWasReadAgain(t *testing.T) {
	log := &events{}
	lock := &hintingLock{Interface: goneLock{}, log: slog.New(log)}
	create := func() {
		if err := lock.Create(context.Background(), resourcelock.LeaderElectionRecord{}); !apierrors.IsForbidden(err) {
			t.Errorf("error %v", err)
		}
	}
	create()
	create()
	if got := log.all(); len(got) != 1 || !strings.Contains(got[0], "apply it again") {
		t.Errorf("said %q", got)
	}
	if _, _, err := lock.Get(context.Background()); err != nil {
		t.Error(err)
	}
	create()
	if got := log.all(); len(got) != 2 {
		t.Errorf("said %q", got)
	}
}
