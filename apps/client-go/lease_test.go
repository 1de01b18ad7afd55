package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
)

// The election tests run in synctest's bubbles, where time passes only while everybody waits. So 15 seconds take no time.

// leaseServer is one Lease with its resourceVersion, and the history of its writes.
type leaseServer struct {
	mutex   sync.Mutex
	record  *resourcelock.LeaderElectionRecord
	version int
	log     *events
}

// candidate is the lease as one replica reaches it. Each has its own connection, which a test can break.
type candidate struct {
	server   *leaseServer
	identity string
	version  int
	// partitioned requests reach nobody and end with the client's time-out, 5 s as NewElection sets it.
	partitioned atomic.Bool
	// latency passes between a write and its answer.
	latency atomic.Int64
	// clockStopped makes each write carry the same times, as a wall clock that stands still does.
	clockStopped atomic.Bool
	// failing is how many of the next requests get an error of the server.
	failing atomic.Int64
	// gone ends the goroutine that sends the next request, as the end of the process would.
	gone atomic.Bool
}

func (c *candidate) request(ctx context.Context) error {
	if c.gone.Load() {
		runtime.Goexit()
	}
	if c.failing.Add(-1) >= 0 {
		return apierrors.NewServiceUnavailable("try later")
	}
	if !c.partitioned.Load() {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(5 * time.Second):
		return errors.New("no answer")
	}
}

func (c *candidate) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	if err := c.request(ctx); err != nil {
		return nil, nil, err
	}
	c.server.mutex.Lock()
	defer c.server.mutex.Unlock()
	if c.server.record == nil {
		return nil, nil, apierrors.NewNotFound(schema.GroupResource{}, "lease")
	}
	record := *c.server.record
	raw, err := json.Marshal(record)
	c.version = c.server.version
	return &record, raw, err
}

func (c *candidate) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return c.write(ctx, record, func() bool { return c.server.record == nil })
}

func (c *candidate) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return c.write(ctx, record, func() bool { return c.server.record != nil && c.server.version == c.version })
}

func (c *candidate) write(ctx context.Context, record resourcelock.LeaderElectionRecord, allowed func() bool) error {
	if err := c.request(ctx); err != nil {
		return err
	}
	c.server.mutex.Lock()
	if !allowed() {
		c.server.mutex.Unlock()
		return apierrors.NewConflict(schema.GroupResource{}, "lease", nil)
	}
	if c.clockStopped.Load() {
		record.RenewTime, record.AcquireTime = metav1.Time{}, metav1.Time{}
	}
	c.server.set(&record)
	c.version = c.server.version
	c.server.mutex.Unlock()
	select {
	case <-time.After(time.Duration(c.latency.Load())):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *candidate) RecordEvent(string) {}
func (c *candidate) Identity() string   { return c.identity }
func (c *candidate) Describe() string   { return "ns/lease" }

func (s *leaseServer) set(record *resourcelock.LeaderElectionRecord) {
	s.record = record
	s.version++
	if record != nil {
		s.log.add(fmt.Sprintf("holder %q", record.HolderIdentity))
	}
}

// become changes the lease past all candidates; nil deletes it.
func (s *leaseServer) become(record *resourcelock.LeaderElectionRecord) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.set(record)
}

func (s *leaseServer) holder() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.record == nil {
		return ""
	}
	return s.record.HolderIdentity
}

// events is what happened, in order. It is also a log handler, which keeps the message and what distinguishes it from others.
type events struct {
	mutex sync.Mutex
	lines []string
}

func (e *events) add(line string) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.lines = append(e.lines, line)
}

func (e *events) all() []string {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return slices.Clone(e.lines)
}

func (e *events) Enabled(context.Context, slog.Level) bool { return true }
func (e *events) WithAttrs([]slog.Attr) slog.Handler       { return e }
func (e *events) WithGroup(string) slog.Handler            { return e }
func (e *events) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(attr slog.Attr) bool {
		if attr.Key == "reason" || attr.Key == "leader" || attr.Key == "n" {
			line += ": " + attr.Value.String()
		}
		return true
	})
	e.add(line)
	return nil
}

// replica is one election under test, running.
type replica struct {
	*Election
	lock   *candidate
	stop   context.CancelFunc
	result chan error
}

var params = ElectionParams{
	LeaseName: "lease", LeaseNamespace: "ns",
	LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 2 * time.Second,
	DrainTimeout: 20 * time.Second,
}

func startReplica(identity string, server *leaseServer, work func(context.Context)) *replica {
	p := params
	p.Identity = identity
	lock := &candidate{server: server, identity: identity}
	if work == nil {
		work = func(ctx context.Context) { <-ctx.Done() }
	}
	r := &replica{Election: newElection(p, lock, work, slog.New(server.log)), lock: lock, result: make(chan error, 1)}
	// client-go's own messages are not under test.
	shutdown, stop := context.WithCancel(klog.NewContext(context.Background(), logr.Discard()))
	r.stop = stop
	go func() { r.result <- r.Run(shutdown) }()
	return r
}

// end returns what Run returns. The bound is in the bubble's time, so that a test that waits in vain fails at once.
func (r *replica) end() error {
	select {
	case err := <-r.result:
		return err
	case <-time.After(time.Hour):
		return errors.New("still runs")
	}
}

// inBubble runs a test with a new lease that nobody holds. It fails if the test leaves a replica running.
func inBubble(t *testing.T, test func(t *testing.T, server *leaseServer)) {
	synctest.Test(t, func(t *testing.T) {
		test(t, &leaseServer{log: &events{}})
	})
}

// after lets time pass, and waits until everything that follows has happened.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
