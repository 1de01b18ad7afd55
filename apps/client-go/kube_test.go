package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

// kubeconfigFor points KUBECONFIG of this process to server, with a namespace in the context.
func kubeconfigFor(t *testing.T, server string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config")
	content, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"clusters": []any{map[string]any{"name": "c", "cluster": map[string]any{"server": server}}},
		"contexts": []any{map[string]any{"name": "c", "context": map[string]any{"cluster": "c", "namespace": "ns"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", path)
	t.Setenv("KUBERNETES_SERVICE_HOST", "") // The test may itself run in a pod.
}

func TestTheLeaseIsAskedForInTheNamespaceOfTheKubeconfigInJSONAndWithATimeOut(t *testing.T) {
	requests := make(chan *http.Request, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		select {
		case requests <- r:
		default:
		}
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer server.Close()
	kubeconfigFor(t, server.URL)
	kube, namespace, err := loadKube()
	if err != nil {
		t.Fatal(err)
	}
	p := params
	p.Identity, p.LeaseNamespace = "a", namespace
	election, err := NewElection(p, kube, nil, slog.New(&events{}))
	if err != nil {
		t.Fatal(err)
	}
	shutdown, stop := context.WithCancel(klog.NewContext(t.Context(), logr.Discard()))
	result := make(chan error, 1)
	go func() { result <- election.Run(shutdown) }()
	select {
	case r := <-requests:
		want := "GET /apis/coordination.k8s.io/v1/namespaces/ns/leases/lease?timeout=5s application/json " + program
		got := r.Method + " " + r.URL.String() + " " + r.Header.Get("Accept") + " " + r.UserAgent()
		if got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Error("no request")
	}
	stop()
	if err := <-result; err != nil {
		t.Error(err)
	}
}

func TestWithoutAClusterTheErrorSaysWhatToDo(t *testing.T) {
	kubeconfigFor(t, "")
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "absent"))
	if _, _, err := loadKube(); err == nil || !strings.Contains(err.Error(), "; set KUBECONFIG, ") {
		t.Errorf("error %v", err)
	}
}
