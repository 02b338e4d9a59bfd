package console_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"craton.dev/craton/command"
	"craton.dev/craton/console/internal/stage"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/manifests/inventory"
)

// TestBrowser looks at the Console with a real browser: console/npm/browser.mjs has the
// checks, each a sentence. With CRATON_SHOTS it leaves
// screenshots in that folder instead.
func TestBrowser(t *testing.T) {
	chromium, modules := chromium(), "npm/node_modules/playwright-core"
	if chromium == "" {
		t.Skip("there is no Chromium: scripts/setup test installs it")
	}
	if _, err := os.Stat(modules); err != nil {
		t.Skipf("there is no %s: scripts/setup test installs it", modules)
	}
	p := play(t)
	planned := p.Cluster(t)
	control := httptest.NewServer(changes(t, p, planned))
	defer control.Close()
	shots := os.Getenv("CRATON_SHOTS")
	if shots != "" && !filepath.IsAbs(shots) {
		t.Fatalf("CRATON_SHOTS=%s: give an absolute path", shots)
	}
	out, err := command.Cmd{
		Name: "node", Args: []string{"npm/browser.mjs"}, Timeout: 8 * time.Minute,
		Env: []string{"CONSOLE=" + p.URL, "CONTROL=" + control.URL, "PASSWORD=" + stage.Password, "CHROMIUM=" + chromium, "SHOTS=" + shots},
	}.Run(t.Context())
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{stage.SecretValue, stage.ClientSecret, stage.Password, "eyJ"} {
		if strings.Contains(p.log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

func chromium() string {
	for _, path := range []string{os.Getenv("CHROMIUM"), "/usr/bin/chromium", "/usr/bin/google-chrome"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// changes are what happens to the cluster while the browser looks.
func changes(t *testing.T, p *played, planned *plan.Plan) http.Handler {
	worker := planned.Machines[4]
	count := func(more uint64) func(context.Context) error {
		return func(context.Context) error {
			p.Publish(t, manifests.CountersConfigMap, manifests.CountersKey, stage.Counted(planned, time.Now(), more))
			return nil
		}
	}
	operate := func(ended time.Time) func(context.Context) error {
		return func(context.Context) error {
			p.Publish(t, manifests.OperationsConfigMap, manifests.OperationsKey, inventory.Operations{Operations: []inventory.Operation{
				{ID: "4", What: "up", Began: time.Now().Add(-40 * time.Second), Ended: ended, Steps: []string{"payload", "secrets", "machines", "api", "objects", "ready"}, Step: 5, Now: "waiting: demo-worker-3: its kubelet has not joined the cluster"},
				{ID: "3", What: "replace demo-worker-2", Began: time.Now().Add(-2 * time.Hour), Ended: time.Now().Add(-118 * time.Minute), Steps: []string{"drain", "remove", "machines", "ready"}, Step: 1, Failed: "drain demo-worker-2: pod shop/payments-0 may not be evicted: its disruption budget has no room"},
			}})
			return nil
		}
	}
	mux := http.NewServeMux()
	for name, do := range map[string]func(context.Context) error{
		"pod": func(ctx context.Context) error { return p.Pod(ctx, "shop", "web-new", "demo-worker-1", nil) },
		"pod-gone": func(ctx context.Context) error {
			return p.Admin.CoreV1().Pods("shop").Delete(ctx, "web-new", metav1.DeleteOptions{})
		},
		"pod-on":        func(ctx context.Context) error { return p.Pod(ctx, "shop", "web-newer", "demo-worker-1", nil) },
		"break-machine": func(context.Context) error { p.Node(t, worker, "the container runtime is down"); return nil },
		"mend-machine":  func(context.Context) error { p.Node(t, worker, ""); return nil },
		"count":         count(1_000_000),
		"count-more":    count(2_000_000),
		"operate":       operate(time.Time{}),
		"rest":          operate(time.Time{}),
		"another-coredns": func(ctx context.Context) error {
			return p.Pod(ctx, "shop", "coredns-of-the-shop", "demo-worker-1", func(pod *corev1.Pod) { pod.OwnerReferences = nil })
		},
		"was-restarted": func(ctx context.Context) error {
			d, err := p.Admin.AppsV1().Deployments("shop").Get(ctx, "web", metav1.GetOptions{})
			if err == nil && d.Spec.Template.Annotations["kubectl.kubernetes.io/restartedAt"] == "" {
				err = fmt.Errorf("it was not: %v", d.Spec.Template.Annotations)
			}
			return err
		},
	} {
		mux.HandleFunc("POST /"+name, func(w http.ResponseWriter, r *http.Request) {
			if err := do(r.Context()); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		})
	}
	return mux
}
