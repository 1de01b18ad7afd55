package main

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/klog/v2"
)

const long = 20 * time.Second

// pipe is like the standard output of a process in a pod: what nobody reads stays in it, until it is full.
func pipe(t *testing.T) (reader, writer *os.File) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close(); writer.Close() })
	return reader, writer
}

// fill logs numbered lines until one is dropped, and returns how many.
func fill(out *output) uint64 {
	for n := uint64(0); ; n++ {
		if out.dropped.Load() > 0 {
			return n
		}
		fmt.Fprintf(out, "%0100d\n", n)
	}
}

func TestAfterAFlushEveryLineIsWrittenInItsOrder(t *testing.T) {
	reader, writer := pipe(t)
	out := newOutput(writer)
	for n := range 100 {
		fmt.Fprintln(out, n)
	}
	if !out.flush(long) {
		t.Fatal("it is not flushed")
	}
	lines := bufio.NewScanner(reader)
	for n := range 100 {
		if lines.Scan(); lines.Text() != fmt.Sprint(n) {
			t.Fatalf("line %d is %q", n, lines.Text())
		}
	}
	if dropped := out.dropped.Load(); dropped != 0 {
		t.Errorf("%d were dropped", dropped)
	}
}

func TestWithAPipeThatNobodyReadsLinesAreDroppedAndAFlushEndsAtItsBound(t *testing.T) {
	_, writer := pipe(t)
	out := newOutput(writer)
	fill(out)
	const bound = 50 * time.Millisecond
	before := time.Now()
	if out.flush(bound) {
		t.Error("nobody reads, but it was flushed")
	}
	if took := time.Since(before); took < bound || took > long {
		t.Errorf("the flush took %s", took)
	}
}

func TestAReaderThatComesBackGetsWholeLinesAndTheCounterSaysHowManyAreMissing(t *testing.T) {
	reader, writer := pipe(t)
	out := newOutput(writer)
	logged := fill(out)
	expected := logged - out.dropped.Load()
	lines := bufio.NewScanner(reader)
	for n := range expected {
		if lines.Scan(); lines.Text() != fmt.Sprintf("%0100d", n) {
			t.Fatalf("line %d is %q", n, lines.Text())
		}
	}
	fmt.Fprintln(out, "the end")
	if lines.Scan(); lines.Text() != "the end" {
		t.Errorf("after %d lines of %d comes %q", expected, logged, lines.Text())
	}
}

func TestWithoutAReaderLinesAreDroppedAndTheNextOneIsTried(t *testing.T) {
	reader, writer := pipe(t)
	out := newOutput(writer)
	reader.Close()
	for n := uint64(1); n <= 3; n++ {
		fmt.Fprintln(out, "to nobody")
		if dropped := out.dropped.Load(); !out.flush(long) || out.dropped.Load() != n {
			t.Fatalf("after %d lines %d are dropped", n, dropped)
		}
	}
}

func TestWhatIsDroppedShowsAtMetrics(t *testing.T) {
	_, writer := pipe(t)
	out := newOutput(writer)
	registry := prometheus.NewRegistry()
	out.report(registry, "lease")
	fill(out)
	families, err := registry.Gather()
	if err != nil || len(families) != 1 {
		t.Fatal(families, err)
	}
	want := fmt.Sprintf(`name:"log_lines_dropped_total"|label:{name:"name" value:"lease"} counter:{value:%d`, out.dropped.Load())
	got := strings.Join(strings.Fields(families[0].String()), " ")
	for part := range strings.SplitSeq(want, "|") {
		if !strings.Contains(got, part) {
			t.Errorf("%s is missing in %s", part, got)
		}
	}
}

// Both a signal and klog's lines are logged.
func TestAFullLogDelaysNeitherASignalNorClientGo(t *testing.T) {
	_, writer := pipe(t)
	out := newOutput(writer)
	fill(out)
	log := newLogger(out, "json", "pod-0_1")
	signals, codes := make(chan os.Signal), make(chan int)
	shutdown := bridgeKlog(shutdownOn(signals, func(code int) { codes <- code }, log), log)
	defer klog.ClearLogger()
	expectInTime(t, "the first signal", func() { signals <- syscall.SIGTERM; <-shutdown.Done() })
	expectInTime(t, "client-go", func() { klog.ErrorS(nil, "to nobody"); klog.FromContext(shutdown).Error(nil, "to nobody") })
	expectInTime(t, "the second signal", func() { signals <- syscall.SIGTERM; <-codes })
}

// stuckLog is a log that never takes its first line.
type stuckLog struct{ *events }

func (stuckLog) Handle(context.Context, slog.Record) error { select {} }

func TestASignalIsActedOnBeforeItIsLogged(t *testing.T) {
	signals := make(chan os.Signal)
	shutdown := shutdownOn(signals, func(int) {}, slog.New(stuckLog{&events{}}))
	expectInTime(t, "the first signal", func() { signals <- syscall.SIGTERM; <-shutdown.Done() })
}

func expectInTime(t *testing.T, what string, act func()) {
	t.Helper()
	done, cancel := context.WithTimeout(t.Context(), long)
	go func() { defer cancel(); act() }()
	if <-done.Done(); done.Err() == context.DeadlineExceeded {
		t.Fatalf("%s hangs", what)
	}
}
