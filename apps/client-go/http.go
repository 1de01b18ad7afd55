package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// status is the state of a replica. Neither health nor readiness depends on the API server being up, or an outage of it would
// restart every replica at once.
type status interface {
	Leader() string
	Leading() bool
	Ready() bool
	Healthy() error
}

// serveHTTP answers for as long as the process lives. It logs the address, since with port 0 the kernel chooses.
func serveHTTP(listen string, handler http.Handler, log *slog.Logger) error {
	listener, err := listenAt(listen, net.Listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s (%w); choose another address with --listen", listen, err)
	}
	log.Info("serving http", "address", listener.Addr().String())
	// Without a bound, a client that never finishes its headers keeps its connection open.
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn), // Otherwise it writes to stderr.
	}
	go func() { log.Error("http ended", "error", server.Serve(listener)) }()
	return nil
}

// listenAt listens at an address. [::] includes all addresses of IPv4; on a machine without IPv6 it means those alone.
func listenAt(address string, listen func(network, address string) (net.Listener, error)) (net.Listener, error) {
	parsed, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	if parsed.Addr().Is4() {
		return listen("tcp4", address) // By "tcp" the net package takes 0.0.0.0 for both families.
	}
	listener, err := listen("tcp", address)
	if parsed.Addr().IsUnspecified() && (errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL)) {
		return listen("tcp4", fmt.Sprintf("0.0.0.0:%d", parsed.Port()))
	}
	return listener, err
}

func routes(identity string, s status, registry *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if err := s.Healthy(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	// True on standbys too. If only the leader were ready, a rollout would never finish.
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !s.Ready() {
			http.Error(w, "no leader has been seen yet", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /leader", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(leaderAnswer(identity, s))
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}

// leaderBody has two fields that are always null here: client-go shows neither the term's fencing token nor its end.
type leaderBody struct {
	Identity string   `json:"identity"`
	Leader   *string  `json:"leader"`
	Leading  bool     `json:"leading"`
	Epoch    *uint64  `json:"epoch"`
	ValidFor *float64 `json:"valid_for_s"`
}

func leaderAnswer(identity string, s status) leaderBody {
	body := leaderBody{Identity: identity, Leading: s.Leading()}
	if leader := s.Leader(); leader != "" {
		body.Leader = &leader
	}
	return body
}
