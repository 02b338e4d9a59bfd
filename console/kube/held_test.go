package kube_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"craton.dev/craton/console/internal/stage"
	"craton.dev/craton/console/kube"
)

// TestHeld shows that rows which are held are those that the API gives, and that who may not list
// them does not see them.
func TestHeld(t *testing.T) {
	s := stage.Start(t)
	s.Bind(t, "admins", "cluster-admin")
	const n = 120 // over five namespaces
	s.ManyPods(t, n)
	// One that has been restarted, one that waits.
	if err := s.Pod(t.Context(), "team-4", "again", "demo-worker-2", restarted); err != nil {
		t.Fatal(err)
	}
	if err := s.Broken(t.Context(), "team-4", "broken"); err != nil {
		t.Fatal(err)
	}
	// Somebody of the group "viewers" sees pods of one namespace.
	may, err := s.Admin.RbacV1().RoleBindings("team-1").Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "stage"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:aggregate-to-view"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "viewers"}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := kube.Connect(s.URL, s.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := kube.Connect(s.URL, s.CAFile) // its rows are never held
	if err != nil {
		t.Fatal(err)
	}
	ada := c.As(s.Provider.Token("ada"))
	vera := c.As(s.Provider.Token("vera"))
	begin := func(t *testing.T) {
		t.Helper()
		within(t, "the rows are held", func() bool {
			if _, err := ada.Table(t.Context(), kube.Pods, kube.Ask{Contains: "web", Take: 5}); err != nil {
				t.Fatal(err)
			}
			return kube.Holds(c)
		})
	}

	t.Run("nobody's question holds what they may not list", func(t *testing.T) {
		for _, ask := range []kube.Ask{{Contains: "web", Take: 5}, {Namespace: "team-1", Contains: "web", Take: 5}} {
			_, _ = vera.Table(t.Context(), kube.Pods, ask)
		}
		time.Sleep(500 * time.Millisecond)
		if kube.Holds(c) {
			t.Error("rows of all namespaces are held, and nobody who may list them has asked")
		}
	})

	t.Run("as the API gives them", func(t *testing.T) {
		begin(t)
		for _, ask := range []kube.Ask{
			{Take: 10}, {Skip: 115, Take: 10}, {Skip: 500, Take: 10}, {Namespace: "team-1", Take: 50}, {Namespace: "nowhere", Take: 50},
			{Contains: "0005", Take: 7}, {Contains: "TEAM-3", Take: 7}, {Contains: "demo-worker-2", Skip: 50, Take: 20}, {Contains: "imagepull", Take: 7},
			{Namespace: "team-4", Contains: "again", Take: 7}, {Namespace: "team-4", Contains: "2 (", Take: 7}, {Contains: "nothing", Take: 7},
		} {
			want, err := plain.As(s.Provider.Token("ada")).Ask(t.Context(), kube.Pods, ask)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ada.Table(t.Context(), kube.Pods, ask)
			if err != nil {
				t.Fatal(err)
			}
			if got.Total != want.Total || !reflect.DeepEqual(got.Columns, want.Columns) || shown(got) != shown(want) {
				t.Errorf("%+v: of what is held\n%d %v\n%s\nof the API's\n%d %v\n%s", ask, got.Total, got.Columns, shown(got), want.Total, want.Columns, shown(want))
			}
		}
		if !kube.Holds(c) {
			t.Error("the rows are not held any more, so that nothing was compared")
		}
	})

	t.Run("changes", func(t *testing.T) {
		begin(t)
		find := func(contains string) *kube.Page {
			page, err := ada.Table(t.Context(), kube.Pods, kube.Ask{Contains: contains, Take: 5})
			if err != nil {
				t.Fatal(err)
			}
			return page
		}
		if err := s.Pod(t.Context(), "team-2", "here", "demo-worker-1", nil); err != nil {
			t.Fatal(err)
		}
		within(t, "a new pod is there, and runs", func() bool {
			page := find("here")
			return page.Total == 1 && page.Cell(page.Rows[0], "Status") == "Running"
		})
		pod, err := s.Admin.CoreV1().Pods("team-2").Get(t.Context(), "here", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		restarted(pod)
		if _, err := s.Admin.CoreV1().Pods("team-2").UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		within(t, "it has been restarted", func() bool {
			page := find("here")
			return page.Total == 1 && strings.HasPrefix(page.Cell(page.Rows[0], "Restarts"), "2 (")
		})
		if err := s.Admin.CoreV1().Pods("team-2").Delete(t.Context(), "here", metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}); err != nil {
			t.Fatal(err)
		}
		within(t, "it is gone", func() bool { return find("here").Total == 0 })
		if !kube.Holds(c) {
			t.Error("the rows are not held any more, so that these were not theirs")
		}
	})

	t.Run("those that do not run", func(t *testing.T) {
		ask := kube.Ask{Select: kube.NotRunning, Take: 5}
		find := func() *kube.Page {
			page, err := ada.Table(t.Context(), kube.Pods, ask)
			if err != nil {
				t.Fatal(err)
			}
			return page
		}
		find()
		within(t, "they are held", func() bool { return kube.HoldsNotRunning(c) })
		want, err := plain.As(s.Provider.Token("ada")).Ask(t.Context(), kube.Pods, ask)
		if err != nil {
			t.Fatal(err)
		}
		if got := find(); got.Total != 1 || shown(got) != shown(want) {
			t.Errorf("of what is held\n%s\nof the API's\n%s", shown(got), shown(want))
		}
		if err := s.Broken(t.Context(), "team-3", "broken-too"); err != nil {
			t.Fatal(err)
		}
		within(t, "there is another", func() bool { return find().Total == 2 })
		pod, err := s.Admin.CoreV1().Pods("team-3").Get(t.Context(), "broken-too", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		restarted(pod) // it runs now, so that it is none of them any more
		if _, err := s.Admin.CoreV1().Pods("team-3").UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		within(t, "it is none of them any more", func() bool { return find().Total == 1 })
		if page, err := vera.Table(t.Context(), kube.Pods, ask); !apierrors.IsForbidden(err) {
			t.Errorf("somebody who may not list them got %+v, %v", page, err)
		}
		if !kube.HoldsNotRunning(c) {
			t.Error("they are not held any more, so that these were not theirs")
		}
	})

	t.Run("rights are the person's", func(t *testing.T) {
		begin(t)
		for _, ask := range []kube.Ask{{Take: 5}, {Contains: "web", Take: 5}, {Skip: 600, Take: 5}, {Namespace: "team-2", Take: 5}, {Namespace: "team-2", Contains: "web", Take: 5}} {
			if page, err := vera.Table(t.Context(), kube.Pods, ask); !apierrors.IsForbidden(err) {
				t.Errorf("%+v: somebody who may not list them got %+v, %v", ask, page, err)
			}
		}
		own := kube.Ask{Namespace: "team-1", Contains: "web", Take: 5}
		page, err := vera.Table(t.Context(), kube.Pods, own)
		if err != nil || page.Total != n/5 || page.Rows[0].Namespace != "team-1" {
			t.Errorf("of their own namespace they got %+v, %v", page, err)
		}
		for _, token := range []string{"no token", ""} {
			if page, err := c.As(token).Table(t.Context(), kube.Pods, kube.Ask{Contains: "web", Take: 5}); err == nil {
				t.Errorf("with the token %q there is %+v", token, page)
			}
		}
		// What is taken from somebody is not shown to them any more.
		if err := s.Admin.RbacV1().RoleBindings("team-1").Delete(t.Context(), may.Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		within(t, "the right that was taken away is gone", func() bool {
			_, err := vera.Table(t.Context(), kube.Pods, own)
			return apierrors.IsForbidden(err)
		})
		if !kube.Holds(c) {
			t.Error("the rows are not held any more, so that nothing was refused of them")
		}
	})

	t.Run("many at once", func(t *testing.T) { // for the race detector
		begin(t)
		var work sync.WaitGroup
		for range 8 {
			work.Go(func() {
				for range 20 {
					if _, err := ada.Table(t.Context(), kube.Pods, kube.Ask{Contains: fmt.Sprint(rand.N(100)), Take: 50}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for i := range 10 {
			if err := s.Pod(t.Context(), "team-0", fmt.Sprintf("more-%d", i), "demo-worker-1", nil); err != nil {
				t.Error(err)
			}
		}
		work.Wait()
	})

	t.Run("given up when nobody asks", func(t *testing.T) {
		c, err := kube.Connect(s.URL, s.CAFile)
		if err != nil {
			t.Fatal(err)
		}
		kube.SetHoldIdle(t, 2*time.Second)
		within(t, "the rows are held", func() bool {
			if _, err := c.As(s.Provider.Token("ada")).Table(t.Context(), kube.Pods, kube.Ask{Contains: "web", Take: 5}); err != nil {
				t.Fatal(err)
			}
			return kube.Holds(c)
		})
		within(t, "they are given up", func() bool { return !kube.Holds(c) })
	})
}

func restarted(pod *corev1.Pod) {
	since := metav1.NewTime(time.Now().Add(-26 * time.Hour))
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{
		Name: "web", Ready: true, RestartCount: 2, Image: pod.Spec.Containers[0].Image,
		State:                corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: since}},
		LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: since}},
	}}}
}

// shown is what a page shows, but for ages, which go on between two questions.
func shown(p *kube.Page) string {
	var b strings.Builder
	for _, r := range p.Rows {
		fmt.Fprint(&b, r.Namespace, " ", r.Name)
		for i, cell := range r.Cells {
			if p.Columns[i] != "Age" {
				fmt.Fprint(&b, " | ", cell)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func within(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !so(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after 15 s it is not so that %s", what)
		}
	}
}
