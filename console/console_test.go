package console_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"craton.dev/craton/console/internal/stage"
	"craton.dev/craton/plan"
)

// visitor is somebody with a browser that runs no scripts.
type visitor struct {
	*http.Client
	url string
}

func (p *played) visitor(t *testing.T, name string) *visitor {
	t.Helper()
	jar, _ := cookiejar.New(nil)
	v := &visitor{&http.Client{Jar: jar, Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}, p.URL}
	form, err := v.Get(v.url + "/operations")
	if err != nil {
		t.Fatal(err)
	}
	form.Body.Close()
	answer, err := v.PostForm(form.Request.URL.String(), url.Values{"name": {name}, "password": {stage.Password}})
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return v
}

func (v *visitor) page(t *testing.T, path string) (*http.Response, string) {
	t.Helper()
	r, err := v.Get(v.url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, string(text)
}

// post sends a form as a browser does that says from where.
func (v *visitor) post(t *testing.T, path, site string, form url.Values) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, v.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if site != "" {
		r.Header.Set("Sec-Fetch-Site", site)
	}
	answer, err := v.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	return answer, string(text)
}

var formToken = regexp.MustCompile(`name="form" value="([^"]+)"`)

// TestConsole asks a Console before a real API server. The subtests share it.
func TestConsole(t *testing.T) {
	p := play(t)
	p.Cluster(t)
	ada := p.visitor(t, "ada")

	t.Run("headers", func(t *testing.T) {
		r, text := ada.page(t, "/contract")
		policy := r.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("the policy is %q", policy)
		}
		for name, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		// What the policy would refuse in a browser is not there in the first place.
		for _, inline := range []string{" style=", "<style", "onclick", "javascript:"} {
			if strings.Contains(text, inline) {
				t.Errorf("the page has %q", inline)
			}
		}
	})

	t.Run("a form from elsewhere does nothing", func(t *testing.T) {
		const path = "/machines/demo-worker-1/cordon"
		_, text := ada.page(t, "/machines/demo-worker-1")
		token := formToken.FindStringSubmatch(text)[1]
		for name, c := range map[string]struct {
			site string
			form url.Values
		}{
			"another site's, with a right token": {"cross-site", url.Values{"on": {"yes"}, "form": {token}}},
			"without a token":                    {"same-origin", url.Values{"on": {"yes"}}},
			"with a guessed token":               {"same-origin", url.Values{"on": {"yes"}, "form": {strings.Repeat("A", len(token))}}},
			"with somebody else's token":         {"same-origin", url.Values{"on": {"yes"}, "form": {p.tokenOf(t, "vera")}}},
		} {
			if r, _ := ada.post(t, path, c.site, c.form); r.StatusCode != http.StatusForbidden {
				t.Errorf("%s: %s", name, r.Status)
			}
		}
		if p.cordoned(t) {
			t.Error("and yet the machine is cordoned")
		}
		if r, _ := ada.post(t, path, "same-origin", url.Values{"on": {"yes"}, "form": {token}}); r.StatusCode != http.StatusOK || !p.cordoned(t) {
			t.Errorf("its own form: %s, cordoned %v", r.Status, p.cordoned(t))
		}
		ada.post(t, path, "same-origin", url.Values{"form": {token}})
	})

	t.Run("somebody who is not signed in", func(t *testing.T) {
		stranger := &visitor{&http.Client{Transport: ada.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, p.URL}
		for _, path := range []string{"/", "/machines", "/workloads?kind=pods", "/logs/shop/web-7c5ddbdf54-08zq0"} {
			r, text := stranger.page(t, path)
			if r.StatusCode != http.StatusFound || !strings.HasPrefix(r.Header.Get("Location"), "/sign-in?back=") || strings.Contains(text, "demo-") {
				t.Errorf("%s: %s to %s", path, r.Status, r.Header.Get("Location"))
			}
		}
		if r, _ := stranger.post(t, "/machines/demo-worker-1/cordon", "same-origin", url.Values{"on": {"yes"}}); r.StatusCode != http.StatusUnauthorized {
			t.Errorf("a form: %s", r.Status)
		}
	})

	t.Run("what is not there", func(t *testing.T) {
		for path, want := range map[string]int{
			"/nowhere": 404, "/machines/none": 404, "/workloads?kind=secrets": 404, "/workloads/secrets/shop/x": 404,
			"/workloads/pods/shop/none": 404, "/contract/none": 404, "/live?of=secrets": 404, "/live?of=": 404,
			"/workloads/pods/shop/%2e%2e": 400, "/machines/%2e%2e": 400, "/live?of=pods-on": 404, // a way up is no name
			"/workloads/pods/..%2F..%2Fsecrets/x": 404, "/assets/../console.go": 404, "/workloads?page=99999": 200, "/workloads?page=-1": 200,
		} {
			if r, _ := ada.page(t, path); r.StatusCode != want {
				t.Errorf("%s: %s, want %d", path, r.Status, want)
			}
		}
	})

	part := func(path string) (int, string) {
		r, _ := http.NewRequest(http.MethodGet, p.URL+path, nil)
		r.Header.Set("HX-Request", "true")
		r.Header.Set("HX-Target", "live")
		answer, err := ada.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, string(text)
	}

	t.Run("a page of what is gone says so", func(t *testing.T) { // scripts leave a page as it is where an answer is an error
		status, text := part("/workloads/pods/shop/none")
		if status != http.StatusOK || !strings.Contains(text, "may have been deleted") || strings.Contains(text, "<html") {
			t.Errorf("%d: %.300s", status, text)
		}
	})

	t.Run("an empty list says of what", func(t *testing.T) {
		for path, says := range map[string]string{
			"/workloads?kind=cronjobs": "There are no CronJobs in this cluster.", "/workloads?kind=jobs&ns=shop": "There are no Jobs in namespace shop.",
			"/workloads?ns=shop&page=7": "The list ends before this page.", "/workloads?q=no-such-pod": "Nothing here has “no-such-pod” in it.",
		} {
			if r, text := ada.page(t, path); r.StatusCode != http.StatusOK || !strings.Contains(text, says) {
				t.Errorf("%s: %s, %.3000s", path, r.Status, text)
			}
		}
	})

	t.Run("an event leads to what it is about", func(t *testing.T) {
		if _, text := ada.page(t, "/workloads?kind=events"); !strings.Contains(text, `href="/workloads/pods/shop/payments-5d9f7b6c4-x8k2p"`) {
			t.Errorf("%.3000s", text)
		}
	})

	t.Run("a machine that the plan does not have is said to be one on each page", func(t *testing.T) {
		p.Node(t, plan.Machine{Name: "stray", Address: netip.MustParseAddr("10.32.9.9")}, "")
		defer p.Admin.CoreV1().Nodes().Delete(t.Context(), "stray", metav1.DeleteOptions{})
		for _, path := range []string{"/machines?q=stray", "/machines/stray"} {
			if _, text := ada.page(t, path); !strings.Contains(text, "Not in the plan") {
				t.Errorf("%s: %.3000s", path, text)
			}
		}
	})

	t.Run("who may not change reads that, and not that they may not see", func(t *testing.T) {
		vera := p.visitor(t, "vera")
		const path = "/machines/demo-worker-1"
		_, text := vera.page(t, path)
		r, text := vera.post(t, path+"/cordon", "same-origin", url.Values{"on": {"yes"}, "form": {formToken.FindStringSubmatch(text)[1]}})
		if r.StatusCode != http.StatusForbidden || !strings.Contains(text, "You may not do this") || !strings.Contains(text, "may not patch nodes demo-worker-1.") {
			t.Errorf("%s: %.3000s", r.Status, text)
		}
	})

	t.Run("a part that has not changed is not sent again", func(t *testing.T) {
		status, text := part("/operations")
		seen := regexp.MustCompile(`name="seen" value="([0-9a-f]+)"`).FindStringSubmatch(text)
		if status != 200 || seen == nil || strings.Contains(text, "<html") {
			t.Fatalf("%d: %.300s", status, text)
		}
		if status, _ := part("/operations?seen=" + seen[1]); status != http.StatusNoContent {
			t.Errorf("the same again: %d", status)
		}
		if status, _ := part("/operations?seen=123"); status != 200 {
			t.Errorf("another: %d", status)
		}
	})

	t.Run("a table that has not all rows says where they are", func(t *testing.T) {
		const path, says, all = "/machines/demo-worker-1", "These are the first 50.", `href="/workloads?q=demo-worker-1"`
		if _, text := ada.page(t, path); strings.Contains(text, says) {
			t.Errorf("it has all: %.3000s", text)
		}
		p.ManyPods(t, 110)
		if _, text := ada.page(t, path); !strings.Contains(text, says) || !strings.Contains(text, all) {
			t.Errorf("%.3000s", text)
		}
	})

	t.Run("the API's troubles are sentences", func(t *testing.T) {
		p.Provider.Set(func(s *stage.Provider) { s.Bend = func(c map[string]any) { c["email"] = "system:masters" } })
		nobody := p.visitor(t, "nobody")
		p.Provider.Set(func(s *stage.Provider) { s.Bend = nil })
		for _, path := range []string{"/contract", "/contract/master.ingress.ssh", "/operations", "/certificates"} { // others have read them before
			if r, text := nobody.page(t, path); r.StatusCode != 403 || !strings.Contains(text, "may not read configmaps") || strings.Contains(text, "tcp 22") {
				t.Errorf("%s: %s, %.2000s", path, r.Status, text)
			}
		}
		r, text := nobody.page(t, "/workloads?ns=shop")
		if r.StatusCode != 403 || !strings.Contains(text, "may not list pods in namespace shop") || strings.Contains(text, "web-7c5") {
			t.Errorf("%s: %.2000s", r.Status, text)
		}
	})

	if log := p.log.String(); strings.Contains(log, "eyJ") || strings.Contains(log, stage.SecretValue) || !strings.Contains(log, "a machine was cordoned") {
		t.Errorf("the log holds a secret, or not what was done:\n%s", log)
	}
}

func (p *played) tokenOf(t *testing.T, name string) string {
	_, text := p.visitor(t, name).page(t, "/machines/demo-worker-1")
	return formToken.FindStringSubmatch(text)[1]
}

func (p *played) cordoned(t *testing.T) bool {
	t.Helper()
	node, err := p.Admin.CoreV1().Nodes().Get(t.Context(), "demo-worker-1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return node.Spec.Unschedulable
}
