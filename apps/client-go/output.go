package main

import (
	"bytes"
	"io"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// linesMax is how many lines may wait to be written: about a megabyte.
	linesMax = 4096
	// flushBound is how long the end of the process may wait for a standard output that nobody reads.
	flushBound = time.Second
)

// output takes one line per call of Write and never blocks: a goroutine of its own writes the lines. A write to a pipe that
// nobody reads blocks, and the goroutine that logs may be one that renews the lease, answers a probe or handles a signal. Lines
// without room are dropped and counted. The process must call flush before it ends.
type output struct {
	queue   chan queued
	dropped atomic.Uint64
}

// queued is a line, or a request to close reached once all lines before it are written.
type queued struct {
	line    []byte
	reached chan<- struct{}
}

func newOutput(file io.Writer) *output {
	o := &output{queue: make(chan queued, linesMax)}
	go o.writeForever(file)
	return o
}

func (o *output) writeForever(file io.Writer) {
	for next := range o.queue {
		if next.reached != nil {
			close(next.reached)
		} else if _, err := file.Write(next.line); err != nil {
			// The reader is gone, or the disk is full. Only the counter can show it.
			o.dropped.Add(1)
		}
	}
}

// Write never fails: lines that cannot be written are counted.
func (o *output) Write(line []byte) (int, error) {
	select {
	case o.queue <- queued{line: bytes.Clone(line)}: // A Writer must not keep what it is given.
	default:
		o.dropped.Add(1)
	}
	return len(line), nil
}

// flush waits until everything logged so far is written, for at most bound, and returns whether it is.
func (o *output) flush(bound time.Duration) bool {
	tooLate := time.After(bound)
	reached := make(chan struct{})
	select {
	case o.queue <- queued{reached: reached}:
	case <-tooLate:
		return false
	}
	select {
	case <-reached:
		return true
	case <-tooLate:
		return false
	}
}

// report shows at /metrics how many lines were dropped, with the label that all metrics here have.
func (o *output) report(registry *prometheus.Registry, leaseName string) {
	registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name:        "log_lines_dropped_total",
		Help:        "Lines that are missing in the log because standard output did not take them. name is the Lease's name.",
		ConstLabels: prometheus.Labels{"name": leaseName},
	}, func() float64 { return float64(o.dropped.Load()) }))
}
