package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestOnlyRefusalsLockOutAndOneAnswerEndsThem(t *testing.T) {
	now := time.Now()
	l := newLockout(10*time.Second, slog.New(slog.NewTextHandler(io.Discard, nil)))
	l.now = func() time.Time { return now }
	answer := func(code int) { l.note(&http.Response{StatusCode: code}, nil) }

	answer(http.StatusUnauthorized)
	now = now.Add(time.Hour)
	l.note(nil, errors.New("connection refused"))
	if err := l.Healthy(); err != nil {
		t.Errorf("nothing was heard of the credentials since, and yet: %v", err)
	}
	answer(http.StatusUnauthorized)
	answer(http.StatusServiceUnavailable)
	if err := l.Healthy(); err == nil || !strings.Contains(err.Error(), "for more than 2m0s") {
		t.Errorf("refused for an hour, and yet: %v", err)
	}
	answer(http.StatusOK)
	if err := l.Healthy(); err != nil {
		t.Errorf("let in, and yet: %v", err)
	}
	answer(http.StatusUnauthorized)
	if err := l.Healthy(); err != nil {
		t.Errorf("refused for a moment: %v", err)
	}
	l.note(nil, fmt.Errorf("get: %w", &tls.CertificateVerificationError{Err: errors.New("unknown authority")}))
	now = now.Add(time.Hour)
	l.note(nil, tls.AlertError(42))
	if err := l.Healthy(); err == nil || !strings.Contains(err.Error(), "TLS fails") {
		t.Errorf("TLS has failed for an hour, and yet: %v", err)
	}
}
