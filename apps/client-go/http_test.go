package main

import (
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

type fixedStatus struct {
	leader         string
	leading, ready bool
	healthy        error
}

func (s fixedStatus) Leader() string { return s.leader }
func (s fixedStatus) Leading() bool  { return s.leading }
func (s fixedStatus) Ready() bool    { return s.ready }
func (s fixedStatus) Healthy() error { return s.healthy }

func expectAnswer(t *testing.T, s status, path string, code int, body string) {
	t.Helper()
	answer := httptest.NewRecorder()
	routes("pod-0_1", s, prometheus.NewRegistry()).ServeHTTP(answer, httptest.NewRequest("GET", path, nil))
	if got := strings.TrimSpace(answer.Body.String()); answer.Code != code || got != body {
		t.Errorf("%s: %d %q, want %d %q", path, answer.Code, got, code, body)
	}
}

func TestAStandbyIsHealthyAndReadyOnceItHasSeenALeader(t *testing.T) {
	expectAnswer(t, fixedStatus{}, "/healthz", 200, "ok")
	expectAnswer(t, fixedStatus{}, "/readyz", 503, "no leader has been seen yet")
	expectAnswer(t, fixedStatus{leader: "pod-1_2", ready: true}, "/readyz", 200, "ok")
}

func TestALeaderPastItsLeaseIsUnhealthy(t *testing.T) {
	expectAnswer(t, fixedStatus{healthy: errors.New("stuck")}, "/healthz", 503, "stuck")
}

func TestLeaderShowsWhatClientGoReportsAndNullForTheRest(t *testing.T) {
	expectAnswer(t, fixedStatus{}, "/leader", 200,
		`{"identity":"pod-0_1","leader":null,"leading":false,"epoch":null,"valid_for_s":null}`)
	expectAnswer(t, fixedStatus{leader: "pod-0_1", leading: true}, "/leader", 200,
		`{"identity":"pod-0_1","leader":"pod-0_1","leading":true,"epoch":null,"valid_for_s":null}`)
}

func TestMetricsAreClientGosTwoAndWhetherThereIsAnElection(t *testing.T) {
	registry := prometheus.NewRegistry()
	metrics := newLeaderMetrics(registry, "lease")
	reportEnabled(registry, "lease", true)
	metrics.NewLeaderMetric().On("lease")
	metrics.NewLeaderMetric().SlowpathExercised("lease")
	server := httptest.NewServer(routes("pod-0_1", fixedStatus{}, registry))
	defer server.Close()
	answer, err := server.Client().Get(server.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	var samples []string
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			samples = append(samples, strings.TrimSpace(line))
		}
	}
	want := `leader_election_enabled{name="lease"} 1|leader_election_master_status{name="lease"} 1|leader_election_slowpath_total{name="lease"} 1`
	if got := strings.Join(samples, "|"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	metrics.Off("lease")
}

func expectReached(t *testing.T, listener net.Listener, address string) {
	t.Helper()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	connection, err := net.Dial("tcp", net.JoinHostPort(address, port))
	if err != nil {
		t.Fatal(err)
	}
	connection.Close()
}

func TestBothFamiliesAreServedWhereThereAreBoth(t *testing.T) {
	if probe, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Skip("this machine has no IPv6")
	} else {
		probe.Close()
	}
	listener, err := listenAt("[::]:0", net.Listen)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	expectReached(t, listener, "127.0.0.1")
	expectReached(t, listener, "::1")
}

// onlyIPv4 listens as a machine without IPv6 does.
func onlyIPv4(network, address string) (net.Listener, error) {
	if network != "tcp4" {
		return nil, &net.OpError{Op: "listen", Net: network, Err: syscall.EAFNOSUPPORT}
	}
	return net.Listen(network, address)
}

func TestIPv4AloneIsServedWhereThereIsNoIPv6(t *testing.T) {
	listener, err := listenAt("[::]:0", onlyIPv4)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	expectReached(t, listener, "127.0.0.1")
	// An address of IPv6 by name is never replaced by one of IPv4.
	if _, err := listenAt("[::1]:0", onlyIPv4); !errors.Is(err, syscall.EAFNOSUPPORT) {
		t.Errorf("error %v", err)
	}
}
