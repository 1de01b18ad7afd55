package main

import (
	"testing"
	"time"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// What client-go does not promise. These tests show its behaviour, not ours. If one fails after an update of client-go, that is
// good news: remove the line from election.go's opening comment and from the README.

func TestClientGoLeadsOnForTheRenewDeadlineOnSightOfAnotherHolder(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leaseServer) {
		a := startReplica("a", server, nil)
		after(time.Second)
		server.become(&resourcelock.LeaderElectionRecord{HolderIdentity: "other", LeaseDurationSeconds: 15})
		after(params.RetryPeriod)
		if a.Leader() != "other" || !a.Leading() {
			t.Errorf("sees %q lead, leading itself %t", a.Leader(), a.Leading())
		}
		after(params.RenewDeadline - 2*time.Second)
		if !a.Leading() {
			t.Error("stopped before the renew deadline")
		}
		after(2 * time.Second)
		if a.Leading() {
			t.Error("leads on after the renew deadline")
		}
		a.stop()
		if err := a.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestClientGoCancelsTheWorkOnlyAfterItHasTriedToReleaseWhichOutlastsTheLease(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leaseServer) {
		a := startReplica("a", server, nil)
		after(time.Millisecond) // Renewed just now, at the same moment for all.
		a.lock.partitioned.Store(true)
		// 2 s until the next renewal, 10 s of the renew deadline, 5 s for the request to release: 17 s, with a lease of 15 s.
		after(params.LeaseDuration + time.Second)
		if !a.Leading() || a.Healthy() == nil {
			t.Errorf("16 s after the last renewal: leading %t, healthy %v", a.Leading(), a.Healthy())
		}
		after(2 * time.Second)
		if a.Leading() || a.Healthy() != nil {
			t.Errorf("18 s after the last renewal: leading %t, healthy %v", a.Leading(), a.Healthy())
		}
		a.stop()
		if err := a.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestClientGoCountsValidityFromTheAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leaseServer) {
		a := startReplica("a", server, nil)
		after(time.Second)
		a.lock.latency.Store(int64(4 * time.Second))
		after(2 * time.Second) // Renewed at 2 s, answered at 6 s.
		a.lock.partitioned.Store(true)
		after(15 * time.Second) // At 18 s, the others' patience with the renewal of 2 s has ended at 17 s.
		if !a.Leading() || a.Healthy() != nil {
			t.Errorf("16 s after the last renewal: leading %t, healthy %v", a.Leading(), a.Healthy())
		}
		a.stop()
		if err := a.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestClientGoCreatesADeletedLeaseAtOnceThoughItsHolderStillLeads(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leaseServer) {
		a := startReplica("a", server, nil)
		after(time.Second)
		b := startReplica("b", server, nil)
		after(time.Second)
		a.lock.partitioned.Store(true)
		server.become(nil)
		after(4400 * time.Millisecond) // The longest that client-go's jitter makes of a retry period.
		if !a.Leading() || !b.Leading() {
			t.Errorf("leading: the old holder %t, the new one %t", a.Leading(), b.Leading())
		}
		a.stop()
		b.stop()
		if err := a.end(); err != nil {
			t.Error(err)
		}
		if err := b.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestClientGoDoesNotReleaseWhatItAcquiredInTheMomentOfItsShutdown(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leaseServer) {
		a := startReplica("a", server, nil)
		a.lock.latency.Store(int64(time.Second)) // The write is done, its answer is on the way.
		after(500 * time.Millisecond)
		a.stop()
		if err := a.end(); err != nil {
			t.Error(err)
		}
		after(time.Minute)
		if server.holder() != "a" {
			t.Errorf("held by %q", server.holder())
		}
	})
}

func TestClientGoTakesAClaimInItsOwnNameForItsOwnAlthoughAnotherWroteIt(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leaseServer) {
		a := startReplica("a", server, nil)
		after(time.Second)
		b := startReplica("b", server, nil)
		after(time.Second)
		server.become(&resourcelock.LeaderElectionRecord{HolderIdentity: "b", LeaseDurationSeconds: 15})
		after(4400 * time.Millisecond) // The longest that client-go's jitter makes of a retry period.
		if !a.Leading() || !b.Leading() {
			t.Errorf("leading: the old holder %t, the one that somebody named %t", a.Leading(), b.Leading())
		}
		a.stop()
		b.stop()
		if err := a.end(); err != nil {
			t.Error(err)
		}
		if err := b.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestClientGoTakesOverFromAHealthyLeaderWhoseClockStandsStill(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leaseServer) {
		a := startReplica("a", server, nil)
		a.lock.clockStopped.Store(true)
		after(5 * time.Second)
		b := startReplica("b", server, nil)
		after(20 * time.Second)
		if !b.Leading() {
			t.Errorf("leading: the healthy leader %t, the standby %t", a.Leading(), b.Leading())
		}
		a.stop()
		b.stop()
		if err := a.end(); err != nil {
			t.Error(err)
		}
		if err := b.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestClientGoWaitsForAsLongAsAHolderThatIsGoneAskedFor(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leaseServer) {
		server.become(&resourcelock.LeaderElectionRecord{HolderIdentity: "gone", LeaseDurationSeconds: 3600})
		a := startReplica("a", server, nil)
		after(59 * time.Minute)
		before := a.Leading()
		after(2 * time.Minute)
		if before || !a.Leading() {
			t.Errorf("leading after 59 minutes %t, after 61 %t", before, a.Leading())
		}
		a.stop()
		if err := a.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestClientGoGivesUpAReleaseThatFailsOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leaseServer) {
		a := startReplica("a", server, nil)
		after(time.Second)
		a.lock.failing.Store(1)
		a.stop()
		if err := a.end(); err != nil {
			t.Error(err)
		}
		after(time.Minute)
		if server.holder() != "a" {
			t.Errorf("held by %q", server.holder())
		}
	})
}
