package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"
)

// lockedOutAfter is how many renew deadlines the API server may refuse a replica before it should be restarted: two minutes by
// default. A rotated credential arrives in a pod within one and a half.
const lockedOutAfter = 12

// lockout records whether the API server lets this replica in: whether it refuses the credentials (401), or TLS fails. An API
// server that is down or unreachable does not count, since a restart of the replica would not help.
type lockout struct {
	bound time.Duration
	log   *slog.Logger
	now   func() time.Time

	mu          sync.Mutex
	first, last time.Time
	words       string
}

func newLockout(renewDeadline time.Duration, log *slog.Logger) *lockout {
	return &lockout{bound: lockedOutAfter * renewDeadline, log: log, now: time.Now}
}

// watch makes the clients of config report their answers.
func (l *lockout) watch(config *rest.Config) {
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			response, err := next.RoundTrip(request)
			l.note(response, err)
			return response, err
		})
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

func (l *lockout) note(response *http.Response, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil && !isOfTLS(err):
		return
	case err != nil:
		l.words = fmt.Sprintf("TLS fails between this replica and the API server: %v", err)
	case response.StatusCode == http.StatusUnauthorized:
		l.words = "the API server refuses the credentials (401)"
	case response.StatusCode >= http.StatusInternalServerError: // Not necessarily the API server's own word.
		return
	default:
		l.words, l.first = "", time.Time{}
		return
	}
	before, now := l.reason() != nil, l.now()
	if l.first.IsZero() {
		l.first = now
	}
	l.last = now
	if reason := l.reason(); reason != nil && !before {
		l.log.Error("locked out of the API server", "reason", reason)
	}
}

func isOfTLS(err error) bool {
	var certificate *tls.CertificateVerificationError
	var alert tls.AlertError
	var header tls.RecordHeaderError
	return errors.As(err, &certificate) || errors.As(err, &alert) || errors.As(err, &header)
}

func (l *lockout) reason() error {
	if l.words == "" || l.last.Sub(l.first) < l.bound {
		return nil
	}
	return fmt.Errorf("for more than %v, %s", l.bound, l.words)
}

// Healthy returns why this replica is locked out, if it was for the whole bound.
func (l *lockout) Healthy() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if reason := l.reason(); reason != nil {
		return fmt.Errorf("locked out of the API server: %w", reason)
	}
	return nil
}

func (l *lockout) report(registry *prometheus.Registry, leaseName string) {
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "leader_election_locked_out",
		Help:        "1 if the API server has refused this replica for so long that it should be restarted, 0 if not",
		ConstLabels: prometheus.Labels{"name": leaseName},
	}, func() float64 {
		if l.Healthy() != nil {
			return 1
		}
		return 0
	}))
}

// withLockout is a status that is not healthy while the replica is locked out.
type withLockout struct {
	status
	lockout *lockout
}

func (s withLockout) Healthy() error { return errors.Join(s.status.Healthy(), s.lockout.Healthy()) }
