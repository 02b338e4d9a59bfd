package kube_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"craton.dev/craton/console/internal/stage"
	"craton.dev/craton/console/kube"
)

// TestKube asks a real API server, whose programs CRATON_ETCD and CRATON_APISERVER name. The
// subtests share it.
func TestKube(t *testing.T) {
	s := stage.Start(t)
	s.Bind(t, "admins", "cluster-admin")
	const n = 120 // over five namespaces
	s.ManyPods(t, n)
	c, err := kube.Connect(s.URL, s.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	ada := c.As(s.Provider.Token("ada"))

	t.Run("paging", func(t *testing.T) { // pages put together are the list, whole and in order
		for _, namespace := range []string{"", "team-1"} {
			want := n
			if namespace != "" {
				want = n / 5
			}
			seen := map[string]bool{}
			last := ""
			for skip := 0; skip < want; skip += 10 {
				page, err := ada.Table(t.Context(), kube.Pods, kube.Ask{Namespace: namespace, Skip: skip, Take: 10})
				if err != nil {
					t.Fatal(err)
				}
				if page.Total != want {
					t.Errorf("namespace %q, from %d on: %d in all, want %d", namespace, skip, page.Total, want)
				}
				for _, r := range page.Rows {
					key := r.Namespace + "/" + r.Name
					if seen[key] || key < last {
						t.Errorf("%s is there twice or out of order", key)
					}
					seen[key], last = true, key
					if page.Cell(r, "Status") != "Running" || page.Cell(r, "Ready") != "1/1" || !strings.HasPrefix(page.Cell(r, "Node"), "demo-worker-") {
						t.Errorf("%s: %q", key, r.Cells)
					}
				}
			}
			if len(seen) != want {
				t.Errorf("namespace %q: %d of %d", namespace, len(seen), want)
			}
		}
	})

	t.Run("deep in all namespaces", func(t *testing.T) {
		// What goes namespace by namespace gives what one list gives.
		one, err := ada.Table(t.Context(), kube.Pods, kube.Ask{Skip: 40, Take: 30})
		if err != nil {
			t.Fatal(err)
		}
		kube.SetDeep(t, 20)
		many, err := ada.Table(t.Context(), kube.Pods, kube.Ask{Skip: 40, Take: 30})
		if err != nil {
			t.Fatal(err)
		}
		if many.Total != one.Total || fmt.Sprint(names(one)) != fmt.Sprint(names(many)) {
			t.Errorf("%d, %v\nwant %d, %v", many.Total, names(many), one.Total, names(one))
		}
	})

	t.Run("filter", func(t *testing.T) {
		for contains, want := range map[string]int{"0005": 11, "TEAM-3": 24, "demo-worker-2": 60, "nothing": 0, "running": 120} {
			page, err := ada.Table(t.Context(), kube.Pods, kube.Ask{Contains: contains, Take: 7})
			if err != nil {
				t.Fatal(err)
			}
			if page.Total != want || len(page.Rows) != min(7, want) {
				t.Errorf("%q: %d rows of %d, want %d", contains, len(page.Rows), page.Total, want)
			}
		}
		// Of several namespaces, pages put together are the list, in order.
		whole, err := ada.Table(t.Context(), kube.Pods, kube.Ask{Contains: "demo-worker-2", Take: 60})
		if err != nil {
			t.Fatal(err)
		}
		var parts []string
		for skip := 0; skip < 60; skip += 9 {
			page, err := ada.Table(t.Context(), kube.Pods, kube.Ask{Contains: "demo-worker-2", Skip: skip, Take: 9})
			if err != nil {
				t.Fatal(err)
			}
			parts = append(parts, names(page)...)
		}
		if len(whole.Rows) != 60 || !slices.Equal(parts, names(whole)) || !slices.IsSorted(parts) {
			t.Errorf("pages of what is filtered are\n%v\nexpected\n%v", parts, names(whole))
		}
	})

	t.Run("select", func(t *testing.T) {
		page, err := ada.Table(t.Context(), kube.Pods, kube.Ask{Select: kube.Select{Fields: "spec.nodeName=demo-worker-1"}, Take: 7})
		if err != nil || page.Total != 60 {
			t.Errorf("%v, %+v", err, page)
		}
		for take, want := range map[int]int{7: -1, 60: 60, 70: 60} { // more, just as many, fewer
			page, err := ada.Table(t.Context(), kube.Pods, kube.Ask{Select: kube.Select{Fields: "spec.nodeName=demo-worker-1"}, Take: take, First: true})
			if err != nil || page.Total != want || len(page.Rows) != min(take, 60) {
				t.Errorf("the first %d: %v, %d rows of %d, want %d", take, err, len(page.Rows), page.Total, want)
			}
		}
	})

	t.Run("watch", func(t *testing.T) {
		changed := make(chan struct{}, 100)
		ended := make(chan error, 1)
		go func() {
			ended <- ada.Watch(t.Context(), kube.Pods, "team-2", kube.Select{}, func() { changed <- struct{}{} })
		}()
		wait := func(what string) {
			t.Helper()
			select {
			case <-changed:
			case err := <-ended:
				t.Fatalf("%s: it ended: %v", what, err)
			case <-time.After(10 * time.Second):
				t.Fatalf("%s is not told", what)
			}
		}
		wait("the start")
		if err := s.Pod(t.Context(), "team-1", "elsewhere", "demo-worker-1", nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
		if len(changed) > 0 {
			t.Errorf("what was there before, or is elsewhere, is told %d times", len(changed))
		}
		if err := s.Pod(t.Context(), "team-2", "here", "demo-worker-1", nil); err != nil {
			t.Fatal(err)
		}
		wait("a pod")
		wait("its status")
		if err := s.Admin.CoreV1().Pods("team-2").Delete(t.Context(), "here", metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}); err != nil {
			t.Fatal(err)
		}
		wait("its end")
	})

	t.Run("rights are the person's", func(t *testing.T) {
		nobody := c.As(s.Provider.Token("nobody"))
		if _, err := nobody.Table(t.Context(), kube.Pods, kube.Ask{Take: 1}); !apierrors.IsForbidden(err) {
			t.Errorf("nobody lists pods: %v", err)
		}
		if err := nobody.Watch(t.Context(), kube.Pods, "", kube.Select{}, func() { t.Error("nobody watches pods") }); !apierrors.IsForbidden(err) {
			t.Errorf("nobody watches pods: %v", err)
		}
		if err := nobody.Get(t.Context(), kube.Pods, "team-1", "elsewhere", &metav1.PartialObjectMetadata{}); !apierrors.IsForbidden(err) {
			t.Errorf("nobody gets a pod: %v", err)
		}
		if _, err := c.As("no token").Table(t.Context(), kube.Pods, kube.Ask{Take: 1}); !apierrors.IsUnauthorized(err) {
			t.Errorf("a wrong token: %v", err)
		}
		if _, err := c.As("").Table(t.Context(), kube.Pods, kube.Ask{Take: 1}); err == nil {
			t.Error("without a token there are pods")
		}
	})
}

func names(p *kube.Page) (out []string) {
	for _, r := range p.Rows {
		out = append(out, r.Namespace+"/"+r.Name)
	}
	return out
}
