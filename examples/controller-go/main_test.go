package main

import (
	"flag"
	"maps"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

func TestAChildFollowsItsSourceAndIsWrittenOnlyIfItDiffers(t *testing.T) {
	source := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "a", UID: "1", Labels: map[string]string{mirrorLabel: "true"}},
		Data:       map[string]string{"v": "1"},
		BinaryData: map[string][]byte{"b": {0xff}},
	}
	c := fake.NewFakeClient(source)
	var child corev1.ConfigMap
	reconcile := func(name string) {
		t.Helper()
		request := ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "demo", Name: name}}
		if _, err := (&mirror{sources: c, children: c}).Reconcile(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: "demo", Name: "a-mirror"}, &child); err != nil {
			t.Fatal(err)
		}
	}

	reconcile("a")
	owner := metav1.GetControllerOf(&child)
	if owner == nil || owner.UID != source.UID || child.Labels[guardedLabel] != "true" || child.BinaryData["b"][0] != 0xff {
		t.Fatalf("not what was asked for: %+v", child)
	}
	first := child.ResourceVersion
	reconcile("a")
	if child.ResourceVersion != first {
		t.Fatalf("written without need: %s after %s", child.ResourceVersion, first)
	}
	child.Data["v"] = "somebody else's"
	if err := c.Update(t.Context(), &child); err != nil {
		t.Fatal(err)
	}
	reconcile("a")
	if !maps.Equal(child.Data, source.Data) {
		t.Fatalf("not repaired: %v", child.Data)
	}
	reconcile("gone")
}

func TestFlagsAreSetFromTheEnvironment(t *testing.T) {
	t.Setenv("LEASE_DURATION", "7s")
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	duration := flags.Duration("lease-duration", time.Second, "")
	if err := fromEnvironment(flags); err != nil || *duration != 7*time.Second {
		t.Fatalf("%v, %v", *duration, err)
	}
	t.Setenv("LEASE_DURATION", "7")
	if err := fromEnvironment(flags); err == nil {
		t.Fatal("7 was accepted as a duration")
	}
}
