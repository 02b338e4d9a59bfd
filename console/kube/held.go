package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// held are the rows of a kind of which a cluster may have thousands, or some of them. To go through all of them for
// each filter took the API server longer than all other pages together, so they are read once, by
// the token of somebody who has just been shown them all, and follow a watch of that one's for as
// long as people ask for them.
//
// They show nobody more than their own rights do: before each answer the API server is asked, as
// the person who wants it, whether that one may list the same. Where it does not say yes, the list
// is asked for as if nothing were held.
type held struct {
	kind Kind
	// sel is which of them, all where it is empty.
	sel Select
	// begun says that somebody reads them, or watches already.
	begun atomic.Bool
	// asked is when they were last asked for, in seconds.
	asked atomic.Int64

	mu sync.RWMutex
	// whole says that all rows are there and up to date.
	whole   bool
	columns []string
	rows    []heldRow // in the order of their keys, which is the API's
}

// heldRow is a row without what changes as time passes: that is made anew each time it is shown.
type heldRow struct {
	// key is the namespace and the name.
	key   string
	cells []string
	// found is what a filter is compared with, in lower case.
	found string
	made  time.Time
	// restarted is when a container was last started again, zero where none was.
	restarted time.Time
}

var (
	// holdFor bounds how long the rows follow one person's watch.
	holdFor = 5 * time.Minute
	// holdIdle is after how long without a question they are given up.
	holdIdle = time.Minute
)

// holdChunk is how many rows are read at a time: with what says which object it is, each is ten times
// the row, and the Console has little memory.
const holdChunk = 250

// NotRunning leaves out the pods that are as most are. For that the API server looks at each one's
// phase, so that those that are left are held.
var NotRunning = Select{Fields: "status.phase!=Running,status.phase!=Succeeded"}

// heldFor is what answers a question where it is held; nil where nothing is held for its like.
func (p *Person) heldFor(k Kind, ask Ask) *held {
	if ask.Take <= 1 { // to learn how many there are, one row is enough
		return nil
	}
	for _, h := range p.held {
		if h.kind.Name == k.Name && h.sel == ask.Select {
			return h
		}
	}
	return nil
}

// worth tells whether a question is one that takes the API server long.
func (h *held) worth(ask Ask) bool {
	return ask.Namespace == "" && (h.sel != Select{} || ask.Contains != "" || ask.Skip >= deep)
}

// fromHeld is the page where its rows are held and the person may list them; nil otherwise.
func (p *Person) fromHeld(ctx context.Context, h *held, ask Ask) *Page {
	h.asked.Store(time.Now().Unix())
	h.mu.RLock()
	whole := h.whole
	h.mu.RUnlock()
	if !whole || !p.mayList(ctx, h.kind, ask.Namespace) {
		return nil
	}
	return h.page(ask, time.Now())
}

// mayList asks the API server whether the person may list a kind, in a namespace or in all of them.
// Where it cannot be asked, they may not.
func (p *Person) mayList(ctx context.Context, k Kind, namespace string) bool {
	body, err := json.Marshal(authorizationv1.SelfSubjectAccessReview{
		TypeMeta: metav1.TypeMeta{APIVersion: authorizationv1.SchemeGroupVersion.String(), Kind: "SelfSubjectAccessReview"},
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: "list", Group: k.Group, Version: k.Version, Resource: k.Name, Namespace: namespace,
		}},
	})
	if err != nil {
		return false
	}
	var review authorizationv1.SelfSubjectAccessReview
	r := p.request(http.MethodPost, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews").
		SetHeader("Content-Type", "application/json").Body(body)
	return decode(r.Timeout(answerWithin).Do(ctx), &review) == nil && review.Status.Allowed
}

// hold begins to hold the rows, unless somebody has. Where they cannot be read or watched any more,
// they are given up, and whoever asks next reads them by themselves.
func (p *Person) hold(h *held) {
	if !h.begun.CompareAndSwap(false, true) {
		return
	}
	ctx, stop := context.WithTimeout(context.Background(), holdFor)
	idle := time.NewTicker(holdIdle / 4)
	go func() {
		defer idle.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-idle.C:
				if time.Since(time.Unix(h.asked.Load(), 0)) > holdIdle {
					stop()
				}
			}
		}
	}()
	go func() {
		defer h.begun.Store(false)
		defer h.drop()
		defer stop()
		_ = p.follow(ctx, h)
	}()
}

func (h *held) drop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.whole, h.rows = false, nil
}

// follow reads all rows and then keeps them as they are, until ctx ends or it cannot.
func (p *Person) follow(ctx context.Context, h *held) error {
	var rows []heldRow
	g := &gathered{page: &Page{}}
	g.every = func(r Row) { rows = append(rows, holdRow(g.page.Columns, r, time.Now())) }
	s := h.sel
	for s.Limit = holdChunk; ; {
		list, err := p.tableChunk(ctx, h.kind, "", s, g)
		if err != nil {
			return err
		}
		if s.Continue = list.Continue; s.Continue == "" {
			break
		}
	}
	slices.SortFunc(rows, func(a, b heldRow) int { return cmp.Compare(a.key, b.key) })
	body, err := h.sel.apply(p.request(http.MethodGet, h.kind.path("", ""))).SetHeader("Accept", asTable).
		Param("includeObject", string(metav1.IncludeMetadata)).Param("watch", "true").Param("resourceVersion", g.page.Version).Stream(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	h.mu.Lock()
	h.columns, h.rows, h.whole = g.page.Columns, rows, true
	h.mu.Unlock()
	var at []int
	for events := json.NewDecoder(body); ; {
		var e struct {
			Type   string `json:"type"`
			Object struct {
				Columns []metav1.TableColumnDefinition `json:"columnDefinitions"`
				Rows    []tableRow                     `json:"rows"`
			} `json:"object"`
		}
		if err := events.Decode(&e); err != nil {
			return err
		}
		if e.Type == "ERROR" {
			return errors.New("the watch has ended")
		}
		if len(e.Object.Columns) > 0 { // only the first event has them
			at, _ = choose(h.kind, e.Object.Columns, &Page{})
		}
		if at == nil {
			return errors.New("an event of the watch has no columns")
		}
		for _, row := range e.Object.Rows {
			h.apply(e.Type, holdRow(h.columns, Row{
				Namespace: row.Object.Metadata.Namespace, Name: row.Object.Metadata.Name,
				Cells: row.texts(at, make([]string, len(at))), Made: row.Object.Metadata.Made,
			}, time.Now()))
		}
	}
}

// apply puts a row in its place, or takes it away.
func (h *held) apply(event string, r heldRow) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i, there := slices.BinarySearchFunc(h.rows, r.key, func(r heldRow, key string) int { return cmp.Compare(r.key, key) })
	switch {
	case event == "DELETED" && there:
		h.rows = slices.Delete(h.rows, i, i+1)
	case event == "DELETED":
	case there:
		h.rows[i] = r
	default:
		h.rows = slices.Insert(h.rows, i, r)
	}
}

// page is what Table gives for the same question.
func (h *held) page(ask Ask, now time.Time) *Page {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if !h.whole {
		return nil
	}
	wanted := strings.ToLower(ask.Contains)
	p := &Page{Columns: h.columns}
	for i := range h.rows {
		r := &h.rows[i]
		if ask.Namespace != "" && r.namespace() != ask.Namespace || !r.has(h.columns, wanted, now) {
			continue
		}
		if p.Total >= ask.Skip && len(p.Rows) < ask.Take {
			p.Rows = append(p.Rows, Row{Namespace: r.namespace(), Name: r.key[len(r.namespace())+1:], Cells: r.shown(h.columns, now), Made: r.made})
		}
		p.Total++
	}
	return p
}

// Columns of which the text changes while the object does not.
const (
	columnAge      = "Age"
	columnRestarts = "Restarts"
)

// holdRow makes a row one that is held. Most texts are those of many rows: these are there once.
func holdRow(columns []string, r Row, now time.Time) heldRow {
	h := heldRow{key: r.Namespace + "/" + r.Name, cells: slices.Clone(r.Cells), made: r.Made}
	found := []string{r.Namespace}
	for i, column := range columns {
		switch {
		case column == columnAge:
			h.cells[i] = ""
			continue
		case column == columnRestarts: // as in "3 (5m12s ago)"
			times, when, _ := strings.Cut(h.cells[i], " (")
			if ago, ok := parseAge(strings.TrimSuffix(when, " ago)")); ok {
				h.restarted = now.Add(-ago)
			}
			h.cells[i] = times
		}
		if h.cells[i] == r.Name {
			h.cells[i] = h.key[len(r.Namespace)+1:]
		} else {
			h.cells[i] = unique.Make(h.cells[i]).Value()
		}
		found = append(found, strings.ToLower(h.cells[i]))
	}
	h.found = strings.Join(found, "\n")
	return h
}

func (r *heldRow) namespace() string {
	namespace, _, _ := strings.Cut(r.key, "/")
	return namespace
}

// shown are the cells as they are now.
func (r *heldRow) shown(columns []string, now time.Time) []string {
	cells := slices.Clone(r.cells)
	for i, column := range columns {
		switch {
		case column == columnAge:
			cells[i] = duration.HumanDuration(now.Sub(r.made))
		case column == columnRestarts && !r.restarted.IsZero():
			cells[i] += " (" + duration.HumanDuration(now.Sub(r.restarted)) + " ago)"
		}
	}
	return cells
}

// has tells whether a row contains a text in lower case, as Row.has does of what is not held.
func (r *heldRow) has(columns []string, text string, now time.Time) bool {
	if strings.Contains(r.found, text) || strings.Contains(duration.HumanDuration(now.Sub(r.made)), text) {
		return true
	}
	return !r.restarted.IsZero() && Row{Cells: r.shown(columns, now)}.has(text)
}

// parseAge reads what the API server writes for how long ago something was, as in 2d5h.
func parseAge(text string) (time.Duration, bool) {
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'y': 365 * 24 * time.Hour}
	var sum time.Duration
	for rest := text; rest != ""; {
		var n int
		var unit byte
		if read, err := fmt.Sscanf(rest, "%d%c", &n, &unit); read != 2 || err != nil || n < 0 || units[unit] == 0 {
			return 0, false
		}
		sum += time.Duration(n) * units[unit]
		_, rest, _ = strings.Cut(rest, string(unit))
	}
	return sum, text != ""
}
