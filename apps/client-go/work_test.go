package main

import (
	"context"
	"log/slog"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// slowAct makes an act take longer than two ticks.
type slowAct struct{ *events }

func (s slowAct) Handle(ctx context.Context, record slog.Record) error {
	if record.Message == "still leading" {
		time.Sleep(11 * time.Second)
	}
	return s.events.Handle(ctx, record)
}

func TestTheWorkNeverTicksOnceItIsCancelledEvenIfATickIsDue(t *testing.T) {
	// Repeated, since select picks at random when both the tick and the cancellation are ready.
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			log := &events{}
			// Within the first act, which begins at 5 s and also misses the ticks of 10 s and 15 s.
			ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
			defer cancel()
			tickWhileLeading(5*time.Second, 0, slog.New(slowAct{log}))(ctx)
			expectEvents(t, log.all(), "leading", "still leading: 1", "leading cancelled")
		})
	}
}

func TestATermThatIsOverBeforeItBeginsIsNotAnnounced(t *testing.T) {
	log := &events{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	tickWhileLeading(time.Second, 0, slog.New(log))(ctx)
	expectEvents(t, log.all())
}

func TestWithoutAnElectionTheReplicaLeadsUntilItsShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &events{}
		logger := slog.New(log)
		f := &forLife{identity: "a", drain: 10 * time.Second, work: tickWhileLeading(5*time.Second, 0, logger), log: logger}
		shutdown, stop := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- f.Run(shutdown) }()
		after(11 * time.Second)
		if !f.Leading() || !f.Ready() || f.Leader() != "a" || f.Healthy() != nil {
			t.Error("does not lead")
		}
		stop()
		if err := <-result; err != nil || f.Leading() {
			t.Errorf("error %v, leading %t", err, f.Leading())
		}
		expectEvents(t, log.all(), "leader election is off, this replica leads for life",
			"leading", "still leading: 1", "still leading: 2", "leading cancelled", "stopped leading: shutting down")
	})
}

func TestWithoutAnElectionWorkThatPanicsIsAnErrorToo(t *testing.T) {
	log := slog.New(&events{})
	f := &forLife{identity: "a", work: func(context.Context) { panic("at noon") }, log: log}
	if err := f.Run(t.Context()); err == nil || err.Error() != "the work panicked: at noon" {
		t.Errorf("error %v", err)
	}
}

func TestTheFirstSignalAsksAndTheSecondOneEndsTheProcess(t *testing.T) {
	for first, second := range map[os.Signal]os.Signal{syscall.SIGTERM: syscall.SIGINT, syscall.SIGINT: syscall.SIGTERM} {
		signals := make(chan os.Signal)
		codes := make(chan int, 1)
		shutdown := shutdownOn(signals, func(code int) { codes <- code }, slog.New(&events{}))
		if shutdown.Err() != nil {
			t.Error("shut down without a signal")
		}
		signals <- first
		select {
		case <-shutdown.Done():
		case <-time.After(10 * time.Second):
			t.Fatal("one signal does not ask for a shutdown")
		}
		if len(codes) > 0 {
			t.Error("one signal ends the process")
		}
		signals <- second
		select {
		case code := <-codes:
			if want := 128 + int(second.(syscall.Signal)); code != want {
				t.Errorf("code %d, want %d", code, want)
			}
		case <-time.After(10 * time.Second):
			t.Error("two signals do not end the process")
		}
	}
}
