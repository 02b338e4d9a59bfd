package console

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"html/template"
	"net/http"
	"strings"
	"time"

	"craton.dev/craton/console/assets"
	"craton.dev/craton/console/view"
)

// views are the templates, one set a page.
type views map[string]*template.Template

func newViews() (views, error) {
	functions := template.FuncMap{
		"asset": assets.Path, "ago": ago, "in": until, "thousands": func(n uint64) string { return thousands(n) },
		"time":  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
		"state": state, "word": func(kind string) string { return map[string]string{"bad": "Broken", "warn": "Attention"}[kind] },
	}
	layout, err := template.New("layout").Funcs(functions).ParseFS(view.Files, "layout.html")
	if err != nil {
		return nil, err
	}
	names, err := view.Files.ReadDir(".")
	if err != nil {
		return nil, err
	}
	all := views{}
	for _, n := range names {
		name, isPage := strings.CutSuffix(n.Name(), ".html")
		if !isPage || name == "layout" {
			continue
		}
		set, err := layout.Clone()
		if err == nil {
			set, err = set.ParseFS(view.Files, n.Name())
		}
		if err != nil {
			return nil, err
		}
		all[name] = set
	}
	return all, nil
}

// frame is what every page has, and its own data.
type frame struct {
	Cluster, Title, Lead, Person, Form string
	// Here is the page's own path and query, Live where its changes are told; "" for a page
	// that does not change.
	Here, Live string
	Nav        []link
	Crumbs     []link
	Data       any
	// Part is the part that changes, already made.
	Part template.HTML
}

type link struct {
	Title, Path string
	Current     bool
}

// sections are the pages that the navigation leads to.
var sections = []link{
	{Title: "Overview", Path: "/"}, {Title: "Machines", Path: "/machines"}, {Title: "Workloads", Path: "/workloads"},
	{Title: "Contract", Path: "/contract"}, {Title: "Operations", Path: "/operations"}, {Title: "Certificates", Path: "/certificates"},
}

// show renders a page, or the part of it that changes where a script has asked for that: and
// nothing of it where the script has the same already.
func (c *Console) show(a *asked, name string, f frame) error {
	return c.render(a, http.StatusOK, name, f)
}

func (c *Console) render(a *asked, status int, name string, f frame) error {
	f.Cluster, f.Here = c.opt.Cluster, here(a.Request)
	if a.session != nil {
		f.Person, f.Form = a.session.Name, a.session.FormToken()
	}
	for _, s := range sections {
		s.Current = s.Path == a.URL.Path || s.Path != "/" && strings.HasPrefix(a.URL.Path, s.Path+"/") ||
			s.Path == "/workloads" && strings.HasPrefix(a.URL.Path, "/logs/")
		f.Nav = append(f.Nav, s)
	}
	set, ok := c.views[name]
	if !ok {
		return fmt.Errorf("there is no template %s", name)
	}
	var part bytes.Buffer
	if err := set.ExecuteTemplate(&part, "live", f); err != nil {
		return fmt.Errorf("template %s: %w", name, err)
	}
	sum := fnv.New64a()
	sum.Write(bytes.ReplaceAll(part.Bytes(), []byte(f.Form), nil)) // it is another each time
	seen := fmt.Sprintf("%x", sum.Sum64())
	fmt.Fprintf(&part, `<input type="hidden" name="seen" value="%s">`, seen)
	page := &part
	if a.isPart() {
		if seen == a.URL.Query().Get("seen") {
			a.w.WriteHeader(http.StatusNoContent)
			return nil
		}
	} else {
		f.Part = template.HTML(part.String()) // a template has just made it
		page = &bytes.Buffer{}
		if err := set.ExecuteTemplate(page, "page", f); err != nil {
			return fmt.Errorf("template %s: %w", name, err)
		}
	}
	writePage(a.w, a.Request, status, page.Bytes())
	return nil
}

// isPart tells whether only the part of a page that changes is asked for.
func (a *asked) isPart() bool { return a.Header.Get("HX-Target") == "live" }

// tell is a page that is a sentence.
//
// A script that asks for part of a page puts into it only what came well, so it gets the sentence as
// such: else the page would go on showing what is not there, or not theirs, any more. While the API is
// away the page stays as it is, with a word about that.
func (c *Console) tell(a *asked, t told) {
	if a.Header.Get("HX-Request") != "" && t.status < http.StatusInternalServerError {
		t.status = http.StatusOK
	}
	if err := c.render(a, t.status, "told", frame{Title: t.title, Data: map[string]any{"Sentence": t.sentence, "Again": t.again}}); err != nil {
		c.opt.Log.Error("a page was not made", "path", a.URL.Path, "error", err)
		http.Error(a.w, t.sentence, t.status)
	}
}

// here is the address of a page, without what only its script adds.
func here(r *http.Request) string {
	q := r.URL.Query()
	q.Del("seen")
	for name, value := range q {
		if len(value) == 0 || value[0] == "" {
			q.Del(name)
		}
	}
	if len(q) == 0 {
		return r.URL.EscapedPath()
	}
	return r.URL.EscapedPath() + "?" + q.Encode()
}

// mark is a state as its colour, its shape and its word.
type mark struct{ Kind, Class, Text string }

// state makes a mark of a kind: ok, warn, bad, or none.
func state(kind, text string) mark {
	class := map[string]string{"ok": "pf-m-green", "warn": "pf-m-yellow", "bad": "pf-m-red"}[kind]
	return mark{kind, class, text}
}

func ago(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return span(time.Since(t)) + " ago"
}

func until(t time.Time) string {
	if d := time.Until(t); d > 0 {
		return "in " + span(d)
	}
	return ago(t)
}

// span is a time in its largest unit that leaves a number that says something.
func span(d time.Duration) string {
	switch d = d.Round(time.Second); {
	case d < time.Second:
		return "a moment"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
