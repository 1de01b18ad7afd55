// The controller of examples/controller in Go, on controller-runtime. Each ConfigMap with the label
// still-leading.dev/mirror=true gets a copy, <name>-mirror, which it owns.
//
// It writes no epoch, since controller-runtime does not show a reconciler the term in which it writes. See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/cluster"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

const (
	mirrorLabel  = "still-leading.dev/mirror"
	guardedLabel = "still-leading.dev/guarded"
)

// mirror reads and writes through one client per label, since a cache has one selector for each kind.
type mirror struct {
	sources, children client.Client
	delay             time.Duration
}

func (m *mirror) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var source corev1.ConfigMap
	if err := m.sources.Get(ctx, request.NamespacedName, &source); err != nil || !source.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, client.IgnoreNotFound(err) // The garbage collector removes the child.
	}
	select {
	case <-time.After(m.delay):
	case <-ctx.Done():
		return ctrl.Result{}, ctx.Err()
	}
	child := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: source.Namespace, Name: source.Name + "-mirror"}}
	action, err := controllerutil.CreateOrUpdate(ctx, m.children, child, func() error {
		metav1.SetMetaDataLabel(&child.ObjectMeta, guardedLabel, "true")
		child.Data, child.BinaryData = source.Data, source.BinaryData
		return controllerutil.SetControllerReference(&source, child, m.children.Scheme())
	})
	if err == nil && action != controllerutil.OperationResultNone {
		ctrl.LoggerFrom(ctx).Info("reconciled", "action", action)
	}
	return ctrl.Result{}, err
}

func main() {
	logger := zap.New(zap.WriteTo(os.Stdout), func(o *zap.Options) { o.TimeEncoder = zapcore.RFC3339NanoTimeEncoder })
	ctrl.SetLogger(logger)
	klog.SetLogger(logger)
	if err := run(); err != nil {
		logger.Error(err, "exiting")
		os.Exit(1)
	}
}

func run() error {
	var options ctrl.Options
	flags := flag.NewFlagSet(os.Args[0], flag.ExitOnError)
	flags.BoolVar(&options.LeaderElection, "enable-leader-election", false, "take part in the election; else lead at once")
	flags.StringVar(&options.LeaderElectionID, "lease-name", "still-leading-controller-go", "name of the Lease")
	flags.StringVar(&options.LeaderElectionNamespace, "lease-namespace", os.Getenv("POD_NAMESPACE"),
		"namespace of the Lease and of the ConfigMaps")
	options.LeaseDuration = flags.Duration("lease-duration", 15*time.Second, "how long a standby waits for a renewal")
	options.RenewDeadline = flags.Duration("renew-deadline", 10*time.Second, "how long a leader retries a renewal")
	options.RetryPeriod = flags.Duration("retry-period", 2*time.Second, "pause between two attempts")
	options.GracefulShutdownTimeout = flags.Duration("drain-timeout", 20*time.Second, "how long a reconcile may take to end")
	flags.StringVar(&options.HealthProbeBindAddress, "listen", ":8080", "address for /healthz, /readyz; 0 for none")
	flags.StringVar(&options.Metrics.BindAddress, "metrics", ":8081", "address for /metrics; 0 for none")
	warm := flags.Bool("warm", false, "keep the caches on standbys")
	concurrency := flags.Int("concurrency", 4, "how many objects are reconciled at a time")
	delay := flags.Duration("delay", 0, "how long each reconcile pretends to work before it writes")
	if err := fromEnvironment(flags); err != nil {
		return err
	}
	_ = flags.Parse(os.Args[1:]) // Exits at an error.
	if options.LeaderElectionNamespace == "" {
		return errors.New("no namespace; give one with --lease-namespace or POD_NAMESPACE")
	}
	options.LeaderElectionReleaseOnCancel = true
	options.Cache = only(mirrorLabel, options.LeaderElectionNamespace)
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(config, options)
	if err != nil {
		return err
	}
	children, err := cluster.New(config, func(o *cluster.Options) {
		o.Cache = only(guardedLabel, options.LeaderElectionNamespace)
	})
	if err != nil {
		return err
	}
	ping := healthz.Ping
	if err := errors.Join(mgr.AddHealthzCheck("ping", ping), mgr.AddReadyzCheck("ping", ping), mgr.Add(children)); err != nil {
		return err
	}
	enqueueOwner := handler.TypedEnqueueRequestForOwner[*corev1.ConfigMap](
		mgr.GetScheme(), mgr.GetRESTMapper(), &corev1.ConfigMap{}, handler.OnlyControllerOwner())
	if err := ctrl.NewControllerManagedBy(mgr).
		For(&corev1.ConfigMap{}).
		WatchesRawSource(source.Kind(children.GetCache(), &corev1.ConfigMap{}, enqueueOwner)).
		WithOptions(controller.Options{MaxConcurrentReconciles: *concurrency, EnableWarmup: warm}).
		Complete(&mirror{sources: mgr.GetClient(), children: children.GetClient(), delay: *delay}); err != nil {
		return err
	}
	return mgr.Start(ctrl.SetupSignalHandler())
}

// only returns a cache of the objects in the namespace whose label has the value "true".
func only(label, namespace string) cache.Options {
	return cache.Options{
		DefaultNamespaces:    map[string]cache.Config{namespace: {}},
		DefaultLabelSelector: labels.SelectorFromSet(labels.Set{label: "true"}),
	}
}

// fromEnvironment sets --lease-name from LEASE_NAME and so on. Flags that are given win over it.
func fromEnvironment(flags *flag.FlagSet) (err error) {
	flags.VisitAll(func(f *flag.Flag) {
		name := strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if value, set := os.LookupEnv(name); set && err == nil {
			if err = flags.Set(f.Name, value); err != nil {
				err = fmt.Errorf("%s: %w", name, err)
			}
		}
	})
	return err
}
