package main

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// tickWhileLeading is the work that only the leader does: here, one log line per tick. Replace it by your own work, and keep its
// shape: it asks before each act, and it returns once its context is cancelled.
func tickWhileLeading(tick, act time.Duration, log *slog.Logger) func(context.Context) {
	return func(ctx context.Context) {
		// A term can be over before its first line of code has run. Then it should not be announced.
		if ctx.Err() != nil {
			return
		}
		log.Info("leading", "tick", tick)
		// Logged by the work itself, so after this line no act follows.
		defer log.Info("leading cancelled")
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		for n := 1; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			// select picks at random when both are ready, so the tick alone does not permit an act.
			if ctx.Err() != nil {
				return
			}
			time.Sleep(act) // An act that does not look at its context, as most calls into other code do not.
			log.Info("still leading", "n", n)
		}
	}
}

// forLife replaces the election when it is off: one replica, no cluster, and a term that only a shutdown ends.
type forLife struct {
	identity string
	drain    time.Duration
	work     func(context.Context)
	log      *slog.Logger
	inPod    bool
	stopping atomic.Bool
}

// Run leads until shutdown is cancelled, and returns an error if the work does not end then, or ends before.
func (f *forLife) Run(shutdown context.Context) error {
	// A developer asked for that. A pod may run beside replicas, or beside its successor in a rollout.
	level, hint := slog.LevelInfo, "--enable-leader-election"
	if f.inPod {
		level, hint = slog.LevelWarn, "ENABLE_LEADER_ELECTION=true in the pod's environment"
	}
	f.log.Log(context.Background(), level, "leader election is off, this replica leads for life", "hint", hint)
	term := startTerm(context.WithoutCancel(shutdown), f.work, f.log)
	err := errWorkEnded
	select {
	case <-term.ended:
	case <-shutdown.Done():
		f.stopping.Store(true)
		forEver := func() string { return "" }
		if err = term.end("shutting down", nil, forEver, limits{drain: f.drain}, f.log); err != nil {
			return err
		}
	}
	if term.panicked != nil {
		return term.panicked
	}
	return err
}

// The state of a replica beside which nobody can lead.

func (f *forLife) Leader() string { return f.identity }
func (f *forLife) Leading() bool  { return !f.stopping.Load() }
func (f *forLife) Ready() bool    { return true }
func (f *forLife) Healthy() error { return nil }
