package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/tools/leaderelection"
)

// leaderMetrics are client-go's own two metrics, under the names that Kubernetes' components give them. client-go reports
// nothing else, so validity in seconds and renew latency, which the other variants have, are missing here.
type leaderMetrics struct {
	masterStatus *prometheus.GaugeVec
	slowpath     *prometheus.CounterVec
}

// reportEnabled shows whether there is an election at all, since the other two are missing without one.
func reportEnabled(registry *prometheus.Registry, leaseName string, enabled bool) {
	gauge := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "leader_election_enabled",
		Help: "1 if this replica takes part in an election, 0 if it leads whatever others do. name is the Lease's name.",
	}, []string{"name"})
	registry.MustRegister(gauge)
	gauge.WithLabelValues(leaseName)
	if enabled {
		gauge.WithLabelValues(leaseName).Set(1)
	}
}

func newLeaderMetrics(registry *prometheus.Registry, leaseName string) *leaderMetrics {
	m := &leaderMetrics{
		masterStatus: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "leader_election_master_status",
			Help: "1 if this replica leads, 0 if it stands by. name is the Lease's name.",
		}, []string{"name"}),
		slowpath: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "leader_election_slowpath_total",
			Help: "Renewals that took a read and a write because the optimistic write had failed. name is the Lease's name.",
		}, []string{"name"}),
	}
	registry.MustRegister(m.masterStatus, m.slowpath)
	m.masterStatus.WithLabelValues(leaseName)
	m.slowpath.WithLabelValues(leaseName) // From zero on, since a rate over a counter that appears at 1 misses the first.
	return m
}

// NewLeaderMetric is called by client-go for each LeaderElector. All of them report to the same two metrics.
func (m *leaderMetrics) NewLeaderMetric() leaderelection.LeaderMetric { return m }

func (m *leaderMetrics) On(name string)                { m.masterStatus.WithLabelValues(name).Set(1) }
func (m *leaderMetrics) Off(name string)               { m.masterStatus.WithLabelValues(name).Set(0) }
func (m *leaderMetrics) SlowpathExercised(name string) { m.slowpath.WithLabelValues(name).Inc() }
