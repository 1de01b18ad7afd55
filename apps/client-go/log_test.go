package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
)

func loggerAt(out *bytes.Buffer, json bool) *slog.Logger {
	at := time.Date(2026, 11, 21, 12, 5, 12, 345678901, time.FixedZone("", 2*3600))
	now := func() (time.Time, int64) { return at, 42 }
	return slog.New(&lineHandler{json: json, identity: "pod-0_1", now: now, out: &lockedWriter{Writer: out}})
}

func expectLine(t *testing.T, out *bytes.Buffer, want string) {
	t.Helper()
	if got := out.String(); got != want+"\n" {
		t.Errorf("\n got %q\nwant %q", got, want+"\n")
	}
	out.Reset()
}

func TestATextLineReadsAsPeopleExpectIt(t *testing.T) {
	var out bytes.Buffer
	log := loggerAt(&out, false)
	log.Info("still leading", "n", 3)
	expectLine(t, &out, "2026-11-21T10:05:12.345678Z  INFO still leading n=3")
	log.Error("exiting", "reason", errors.New("the work ended by itself"), "empty", "", "tick", 5*time.Second)
	expectLine(t, &out, `2026-11-21T10:05:12.345678Z ERROR exiting reason="the work ended by itself" empty="" tick=5s`)
}

func TestAJSONLineIsFlatAndItsKeysAreInOrder(t *testing.T) {
	var out bytes.Buffer
	log := loggerAt(&out, true)
	log.Warn("<event>", "n", 3, "tick", 200*time.Millisecond, "leading", true)
	expectLine(t, &out, `{"timestamp":"2026-11-21T10:05:12.345678Z","level":"WARN","message":"<event>",`+
		`"identity":"pod-0_1","monotonic_ns":42,"n":3,"tick":"200ms","leading":true}`)
}

func TestWhatALibraryLogsStaysOneLineAndHidesNothing(t *testing.T) {
	var out bytes.Buffer
	loggerAt(&out, false).Info("two\nlines", "v", "a\nb")
	expectLine(t, &out, `2026-11-21T10:05:12.345678Z  INFO "two\nlines" v="a\nb"`)
	log := loggerAt(&out, true).With("lease", "ns/name").WithGroup("g")
	log.Info("m", slog.Group("h", "deep", 1), "inf", math.Inf(1), slog.Group("", "level", 9))
	expectLine(t, &out, `{"timestamp":"2026-11-21T10:05:12.345678Z","level":"INFO","message":"m","identity":"pod-0_1",`+
		`"monotonic_ns":42,"lease":"ns/name","g.h.deep":1,"g.inf":"+Inf","g.level":9}`)
	loggerAt(&out, true).Info("m", "identity", "pod-0_1", "message", "hidden", "level", "hidden")
	expectLine(t, &out, `{"timestamp":"2026-11-21T10:05:12.345678Z","level":"INFO","message":"m","identity":"pod-0_1",`+
		`"monotonic_ns":42}`)
}

func TestWhatClientGoLogsIsBridgedAndItsElectorsProgressDropped(t *testing.T) {
	var out bytes.Buffer
	ctx := bridgeKlog(context.Background(), loggerAt(&out, false))
	defer klog.ClearLogger()
	klog.InfoS("starting", "k", 1)
	expectLine(t, &out, "2026-11-21T10:05:12.345678Z  INFO starting k=1")
	elector := klog.FromContext(ctx).WithValues("lock", "ns/name")
	elector.Info("Attempting to acquire leader lease...")
	elector.V(2).Info("Failed to update lease optimistically")
	elector.Error(errors.New("refused"), "Error retrieving lease lock")
	expectLine(t, &out, `2026-11-21T10:05:12.345678Z ERROR Error retrieving lease lock lock=ns/name err=refused`)
}

func TestTheClockIsMonotonicAndTheSameForAllProcesses(t *testing.T) {
	var out bytes.Buffer
	before := monotonicNs()
	newLogger(&out, "json", "pod-0_1").Info("m")
	var line struct {
		Timestamp   string `json:"timestamp"`
		MonotonicNs int64  `json:"monotonic_ns"`
	}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	if line.MonotonicNs < before || line.MonotonicNs > monotonicNs() {
		t.Errorf("%d is not between %d and now", line.MonotonicNs, before)
	}
	// A clock that counts from the process's start, or from 1970, is not the one that other processes see.
	var sinceBoot unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &sinceBoot); err != nil || line.MonotonicNs > sinceBoot.Nano() {
		t.Errorf("%d, but the machine runs for %d (%v)", line.MonotonicNs, sinceBoot.Nano(), err)
	}
	if line.MonotonicNs < int64(time.Second) {
		t.Errorf("%d", line.MonotonicNs)
	}
	if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`).MatchString(line.Timestamp) {
		t.Error(line.Timestamp)
	}
	if strings.Count(out.String(), "\n") != 1 {
		t.Errorf("%q", &out)
	}
}
