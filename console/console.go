// Package console serves a cluster to people in a browser: pages that the server renders,
// that stay up to date while they are looked at, and that can be read without scripts.
//
// Whoever looks sees what the API shows them with their own token: the Console has no rights
// and keeps no state. It decides nothing: what is well and what is not, is said by package
// health; what is open, by the plan that `up` has put into the cluster.
//
// Its parts: signin (who somebody is), kube (asks the API as them), view (templates) and
// assets (styles and scripts).
package console

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"craton.dev/craton/console/assets"
	"craton.dev/craton/console/kube"
	"craton.dev/craton/console/signin"
)

// Options are what a Console is made of.
type Options struct {
	// Cluster is the cluster's name, for people.
	Cluster string
	Kube    *kube.Cluster
	SignIn  *signin.SignIn
	Log     *slog.Logger
}

// Console answers browsers.
type Console struct {
	opt   Options
	views views
	// looking is how many pages are kept up to date just now.
	looking atomic.Int64
}

// New makes one. It fails where its own templates are wrong, which a test shows.
func New(o Options) (*Console, error) {
	v, err := newViews()
	return &Console{opt: o, views: v}, err
}

// asked is a request of somebody who is signed in.
type asked struct {
	*http.Request
	w       http.ResponseWriter
	session *signin.Session
	person  *kube.Person
	records *records
}

// Handler answers all requests.
func (c *Console) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /assets/", assets.Handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /sign-in", c.begin)
	mux.HandleFunc("GET "+signin.CallbackPath, c.end)

	page := func(pattern string, serve func(*asked) error) { mux.HandleFunc(pattern, c.signedIn(serve)) }
	page("GET /{$}", c.overview)
	page("GET /machines", c.machines)
	page("GET /machines/{name}", c.machine)
	page("GET /workloads", c.workloads)
	page("GET /workloads/{kind}/{namespace}/{name}", c.object)
	page("GET /logs/{namespace}/{name}", c.logs)
	page("GET /logs/{namespace}/{name}/live", c.liveLogs)
	page("GET /contract", c.contract)
	page("GET /contract/{id}", c.clause)
	page("GET /operations", c.operations)
	page("GET /certificates", c.certificates)
	page("GET /live", c.live)
	page("POST /sign-out", c.form(c.signOut))
	page("POST /machines/{name}/cordon", c.form(c.cordon))
	page("POST /workloads/{kind}/{namespace}/{name}/restart", c.form(c.restart))
	page("GET /", func(a *asked) error { return errNowhere })

	// Browsers say from where a request comes: a form on another site does not get through.
	return secure(http.NewCrossOriginProtection().Handler(mux))
}

// policy lets a page use what comes from the Console, and nothing else: no script or style
// within a page, no frames, no other hosts.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Strict-Transport-Security", "max-age=31536000")
		h.Set("Cache-Control", "no-store") // what somebody sees is theirs; assets say otherwise
		next.ServeHTTP(w, r)
	})
}

// signedIn sends those who are not signed in to do so, and tells the others in a sentence
// where something does not work.
func (c *Console) signedIn(serve func(*asked) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		session := c.opt.SignIn.Session(w, r)
		if session == nil {
			c.toSignIn(w, r)
			return
		}
		person := c.opt.Kube.As(session.Token)
		a := &asked{Request: r, w: w, session: session, person: person, records: &records{person: person}}
		err := serve(a)
		if err == nil || r.Context().Err() != nil {
			return
		}
		if apierrors.IsUnauthorized(err) {
			_ = c.opt.SignIn.Out(w) // an empty cookie is not too long
		}
		t := trouble(err, session.Name)
		if t.status >= http.StatusInternalServerError {
			c.opt.Log.Error("a page was not made", "path", r.URL.Path, "error", err)
		}
		c.tell(a, t)
	}
}

// toSignIn leads to the sign-in service and back to the page that was wanted. A script that
// asks for part of a page gets told to load the page.
func (c *Console) toSignIn(w http.ResponseWriter, r *http.Request) {
	const here = "/sign-in"
	switch {
	case r.Header.Get("HX-Request") != "":
		w.Header().Set("HX-Refresh", "true")
		w.WriteHeader(http.StatusUnauthorized)
	case r.Method != http.MethodGet || strings.Contains(r.Header.Get("Accept"), "text/event-stream"):
		http.Error(w, "You are not signed in.", http.StatusUnauthorized)
	default:
		http.Redirect(w, r, here+"?"+values("back", r.URL.RequestURI()), http.StatusFound)
	}
}

func (c *Console) begin(w http.ResponseWriter, r *http.Request) {
	if err := c.opt.SignIn.Begin(w, r, r.URL.Query().Get("back")); err != nil {
		c.notIn(w, r, err)
	}
}

func (c *Console) end(w http.ResponseWriter, r *http.Request) {
	if err := c.opt.SignIn.End(w, r); err != nil {
		c.notIn(w, r, err)
	}
}

// notIn is a page for somebody who could not sign in.
func (c *Console) notIn(w http.ResponseWriter, r *http.Request, err error) {
	t := told{status: http.StatusInternalServerError, title: "You are not signed in", sentence: "The Console could not begin a sign-in."}
	var refusal *signin.Refusal
	switch {
	case errors.As(err, &refusal):
		t.status, t.sentence = http.StatusForbidden, refusal.Sentence
	case errors.Is(err, signin.ErrUnreachable):
		t.status, t.sentence = http.StatusServiceUnavailable, "The sign-in service does not answer. Try again in a minute; an administrator can use the cluster's own kubeconfig meanwhile."
	}
	t.again = "/sign-in"
	if r.Context().Err() == nil {
		c.opt.Log.Warn("somebody was not signed in", "error", err)
	}
	c.tell(&asked{Request: r, w: w}, t)
}

func (c *Console) signOut(a *asked) error {
	if err := c.opt.SignIn.Out(a.w); err != nil {
		return err
	}
	c.tell(&asked{Request: a.Request, w: a.w}, told{
		status: http.StatusOK, title: "Signed out", again: "/sign-in",
		sentence: "This browser does not know you any more.",
	})
	return nil
}

// form lets only forms through that a page of this session has made.
func (c *Console) form(serve func(*asked) error) func(*asked) error {
	return func(a *asked) error {
		a.Body = http.MaxBytesReader(a.w, a.Body, 64<<10)
		if !a.session.IsForm(a.PostFormValue("form")) {
			return errForm
		}
		return serve(a)
	}
}
