package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Ask is what a page of a list is asked for.
type Ask struct {
	// Namespace is "" for all of them.
	Namespace string
	Select    Select
	// Contains keeps the rows that have this text in the namespace or a shown cell,
	// in any case of letters.
	Contains string
	// Skip and Take say which of these rows are wanted.
	Skip, Take int
	// First tells that it is enough to know whether there are more: of what is selected the API does
	// not say how many follow, so that to count them all have to be read.
	First bool
}

// Page is part of a list.
type Page struct {
	Columns []string
	Rows    []Row
	// Total is how many rows there are in all; -1 where the API does not say, or where there are more
	// than the first that were asked for.
	Total int
	// Version is the list's, for a watch that follows it.
	Version string
}

// Row is one object. Cells belong to the page's columns.
type Row struct {
	Namespace, Name string
	Cells           []string
	// Made is when the object was made; zero where the list does not say.
	Made time.Time
}

// Cell is the text of a column, "" where the list does not have it.
func (p *Page) Cell(r Row, column string) string {
	if i := slices.Index(p.Columns, column); i >= 0 && i < len(r.Cells) {
		return r.Cells[i]
	}
	return ""
}

// Without leaves a column out.
func (p *Page) Without(column string) {
	i := slices.Index(p.Columns, column)
	if i < 0 {
		return
	}
	p.Columns = slices.Delete(slices.Clone(p.Columns), i, i+1) // rows that are held share their columns
	for j := range p.Rows {
		p.Rows[j].Cells = slices.Delete(p.Rows[j].Cells, i, i+1)
	}
}

// chunk is how many rows are asked for at a time where a list is gone through: neither
// side has to hold more.
const chunk = 1000

// deep is from which row on a list of all namespaces is gone through namespace by
// namespace: what has to be read of a row to learn its namespace is ten times the row.
var deep = 500

// Table reads a page of a list. Without Contains the API server is asked for the rows up to
// the page's end and no more; with it, all rows are gone through, one after another, and
// only the page's are kept. Of a kind that is held, both take no more than a look at what is.
func (p *Person) Table(ctx context.Context, k Kind, ask Ask) (*Page, error) {
	h := p.heldFor(k, ask)
	if h != nil {
		if page := p.fromHeld(ctx, h, ask); page != nil {
			return page, nil
		}
	}
	page, err := p.ask(ctx, k, ask)
	if err == nil && h != nil && h.worth(ask) {
		p.hold(h)
	}
	return page, err
}

// ask is Table for what is not held.
func (p *Person) ask(ctx context.Context, k Kind, ask Ask) (*Page, error) {
	g := &gathered{ask: ask, contains: strings.ToLower(ask.Contains), page: &Page{Total: -1}}
	g.plain = plainText(g.contains)
	namespaces := []string{ask.Namespace}
	if k.Namespaced && ask.Namespace == "" && (g.contains != "" || ask.Skip >= deep) {
		all, err := p.namespaces(ctx)
		if err == nil {
			namespaces = all
		} else if !apierrors.IsForbidden(err) { // who may not list them may still list all pods
			return nil, err
		}
	}
	g.several = len(namespaces) > 1
	if g.several && g.contains != "" {
		return p.filter(ctx, k, namespaces, ask)
	}
	for _, namespace := range namespaces {
		if err := p.gather(ctx, k, namespace, g); err != nil {
			return nil, err
		}
	}
	return g.page, nil
}

// filterAtOnce is how many namespaces are filtered at the same time: the API server makes the rows of
// one on one processor.
const filterAtOnce = 2

// filter puts a page together of what there is in each namespace, in their order.
func (p *Person) filter(ctx context.Context, k Kind, namespaces []string, ask Ask) (*Page, error) {
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(filterAtOnce)
	found := make([]*gathered, len(namespaces))
	end := ask.Skip + ask.Take
	for i, namespace := range namespaces {
		contains := strings.ToLower(ask.Contains)
		found[i] = &gathered{ask: Ask{Select: ask.Select, Take: end}, contains: contains, plain: plainText(contains), page: &Page{}}
		work.Go(func() error { return p.gather(ctx, k, namespace, found[i]) })
	}
	if err := work.Wait(); err != nil {
		return nil, err
	}
	all := &Page{}
	for _, g := range found {
		all.Columns, all.Version = g.page.Columns, g.page.Version
		all.Total += g.page.Total
		all.Rows = append(all.Rows, g.page.Rows...)
	}
	all.Rows = all.Rows[min(len(all.Rows), ask.Skip):min(len(all.Rows), end)]
	return all, nil
}

// gathered is a page in the making.
type gathered struct {
	ask      Ask
	contains string
	page     *Page
	seen     int
	// several says that namespaces are gone through one after another.
	several bool
	// plain says that contains stands in JSON as it is.
	plain   bool
	scratch []byte
	// every is told each row instead, where it is not nil. The row's cells are the next one's too.
	every func(Row)
}

// skims tells whether rows may be passed over; where none is, each is read at once.
func (g *gathered) skims() bool { return g.contains != "" || g.seen < g.ask.Skip }

// skim tells of a row as it arrives whether it can be passed over without a look at what it
// says, which is ten times the work.
func (g *gathered) skim(namespace string, row []byte) bool {
	if g.contains == "" {
		g.seen++
		return true
	}
	if !g.plain || strings.Contains(strings.ToLower(namespace), g.contains) {
		return false
	}
	g.scratch = append(g.scratch[:0], row...)
	for i, b := range g.scratch {
		if 'A' <= b && b <= 'Z' {
			g.scratch[i] = b | 0x20
		}
	}
	return !bytes.Contains(g.scratch, []byte(g.contains))
}

// plainText has only letters that JSON writes as they are.
func plainText(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool {
		return r < ' ' || r > '~' || strings.ContainsRune(`"\<>&`, r)
	}) < 0
}

func (g *gathered) keep(r Row) {
	if g.every != nil {
		g.every(r)
		return
	}
	if g.contains != "" && !r.has(g.contains) {
		return
	}
	if g.seen >= g.ask.Skip && len(g.page.Rows) < g.ask.Take {
		r.Cells = slices.Clone(r.Cells)
		g.page.Rows = append(g.page.Rows, r)
	}
	g.seen++
}

// gather goes through a namespace's rows, and stops where the API can say how many follow.
func (p *Person) gather(ctx context.Context, k Kind, namespace string, g *gathered) error {
	for s := g.ask.Select; ; {
		missing := g.ask.Skip + g.ask.Take - g.seen
		s.Limit = chunk
		if g.contains == "" && (s.Continue == "" || missing > 0) {
			s.Limit = min(chunk, max(1, missing)) // one row is enough to learn how many there are
		}
		if g.contains == "" && g.several && s.Continue == "" && g.seen < g.ask.Skip {
			s.Limit = 1 // the page may begin after this namespace's rows
		}
		rest, err := p.tableChunk(ctx, k, namespace, s, g)
		if err != nil {
			return err
		}
		if s.Continue = rest.Continue; s.Continue == "" {
			g.page.Total = g.seen
			return nil
		}
		if g.ask.First && len(g.page.Rows) == g.ask.Take {
			return nil
		}
		if g.contains == "" && rest.RemainingItemCount != nil {
			if end := g.seen + int(*rest.RemainingItemCount); end <= g.ask.Skip || g.seen >= g.ask.Skip+g.ask.Take {
				g.seen, g.page.Total = end, end
				return nil
			}
		}
	}
}

// namespaces are the names of all of them, in the order in which the API lists objects.
func (p *Person) namespaces(ctx context.Context) ([]string, error) {
	page, err := p.Table(ctx, Namespaces, Ask{Take: mostNamespaces})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, r := range page.Rows {
		names = append(names, r.Name)
	}
	return names, nil
}

// mostNamespaces bounds the list of namespaces.
const mostNamespaces = 5000

// has tells whether a row contains a text in lower case.
func (r Row) has(text string) bool {
	if strings.Contains(strings.ToLower(r.Namespace), text) {
		return true
	}
	return slices.ContainsFunc(r.Cells, func(c string) bool { return strings.Contains(strings.ToLower(c), text) })
}

// asTable is what kubectl asks for.
const asTable = "application/json;as=Table;v=v1;g=meta.k8s.io"

func (p *Person) tableChunk(ctx context.Context, k Kind, namespace string, s Select, g *gathered) (*metav1.ListMeta, error) {
	// Of a namespace's objects the cells say all that is shown; of all namespaces', the
	// objects' metadata say which one.
	include := metav1.IncludeNone
	if k.Namespaced && namespace == "" {
		include = metav1.IncludeMetadata
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	body, err := s.apply(p.request(http.MethodGet, k.path(namespace, ""))).
		SetHeader("Accept", asTable).Param("includeObject", string(include)).Stream(ctx)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	list, err := readTable(body, k, namespace, g)
	if err != nil {
		return nil, fmt.Errorf("read the API's list of %s: %w", k.Name, err)
	}
	// What is left is a line's end. With it read, the connection can be used again.
	_, err = io.CopyN(io.Discard, body, 16)
	if err != nil && err != io.EOF {
		return nil, err
	}
	return list, nil
}

// tableRow is what is read of a row.
type tableRow struct {
	Cells  []any `json:"cells"`
	Object struct {
		Metadata struct {
			Name      string    `json:"name"`
			Namespace string    `json:"namespace"`
			Made      time.Time `json:"creationTimestamp"`
		} `json:"metadata"`
	} `json:"object"`
}

// texts puts the shown cells, which are at these places, into a slice of their number.
func (r *tableRow) texts(at []int, into []string) []string {
	for i, j := range at {
		into[i] = ""
		if j < len(r.Cells) {
			into[i] = text(r.Cells[j])
		}
	}
	return into
}

// readTable goes through a table as it arrives, so that a long one needs no more memory than
// a short one. The API server writes a table's columns before its rows.
func readTable(body io.Reader, k Kind, namespace string, g *gathered) (*metav1.ListMeta, error) {
	d := json.NewDecoder(body)
	if err := expect(d, json.Delim('{')); err != nil {
		return nil, err
	}
	list := &metav1.ListMeta{}
	var at []int // where the shown columns are among the API's
	name := -1
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		switch token {
		case "metadata":
			err = d.Decode(list)
		case "columnDefinitions":
			var columns []metav1.TableColumnDefinition
			if err = d.Decode(&columns); err == nil {
				at, name = choose(k, columns, g.page)
			}
		case "rows":
			err = readRows(d, at, name, namespace, g)
		default:
			var other any
			err = d.Decode(&other)
		}
		if err != nil {
			return nil, err
		}
	}
	g.page.Version = list.ResourceVersion
	return list, expect(d, json.Delim('}'))
}

// choose says where the kind's columns are, and where the name is.
func choose(k Kind, columns []metav1.TableColumnDefinition, page *Page) (at []int, name int) {
	page.Columns, name = nil, -1
	for _, wanted := range k.Columns {
		i := slices.IndexFunc(columns, func(c metav1.TableColumnDefinition) bool { return c.Name == wanted })
		if i >= 0 { // another version of Kubernetes may not have it
			at, page.Columns = append(at, i), append(page.Columns, wanted)
		}
	}
	return at, slices.IndexFunc(columns, func(c metav1.TableColumnDefinition) bool { return c.Format == "name" })
}

func readRows(d *json.Decoder, at []int, name int, namespace string, g *gathered) error {
	token, err := d.Token()
	if err != nil || token == nil { // no rows are null
		return err
	}
	if token != json.Delim('[') {
		return errors.New("its rows are no list")
	}
	cells := make([]string, len(at))
	var raw json.RawMessage
	for d.More() {
		var row tableRow
		if g.skims() {
			raw = raw[:0]
			if err := d.Decode(&raw); err != nil {
				return err
			}
			if g.skim(namespace, raw) {
				continue
			}
			if err := json.Unmarshal(raw, &row); err != nil {
				return err
			}
		} else if err := d.Decode(&row); err != nil {
			return err
		}
		r := Row{Namespace: row.Object.Metadata.Namespace, Name: row.Object.Metadata.Name, Cells: row.texts(at, cells), Made: row.Object.Metadata.Made}
		if r.Namespace == "" {
			r.Namespace = namespace
		}
		if r.Name == "" && name >= 0 && name < len(row.Cells) {
			r.Name = text(row.Cells[name])
		}
		g.keep(r)
	}
	return expect(d, json.Delim(']'))
}

func text(cell any) string {
	switch c := cell.(type) {
	case nil:
		return ""
	case string:
		return c
	case float64:
		return fmt.Sprint(int64(c)) // the API's numbers in tables are whole
	}
	return fmt.Sprint(cell)
}

func expect(d *json.Decoder, want json.Delim) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	if token != want {
		return fmt.Errorf("it has %v where %v was expected", token, want)
	}
	return nil
}
