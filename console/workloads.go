package console

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"craton.dev/craton/console/kube"
)

// table is a list as the page shows it.
type table struct {
	Kind    kube.Kind
	Columns []string
	Rows    []tableRow
	// WithNamespace tells whether the rows are of several namespaces.
	WithNamespace bool
	// More is where all rows are, "" where these are all.
	More string
}

type tableRow struct {
	Namespace, Name, Path string
	Cells                 []tableCell
}

type tableCell struct {
	Column, Text string
	State        *mark
	// Path is where the cell leads to, "" where it does not.
	Path string
}

// listing makes of the API's table one with links and marks.
func listing(k kube.Kind, p *kube.Page, withNamespace bool) table {
	t := table{Kind: k, WithNamespace: withNamespace}
	for _, column := range p.Columns {
		t.Columns = append(t.Columns, heading(column))
	}
	for _, r := range p.Rows {
		row := tableRow{Namespace: r.Namespace, Name: r.Name}
		if k.Name != kube.Events.Name && r.Namespace != "" && r.Name != "" {
			row.Path = objectPath(k, r.Namespace, r.Name)
		}
		for i, text := range r.Cells {
			cell := tableCell{Column: t.Columns[i], Text: text, State: stateOf(k, p.Columns[i], text)}
			switch {
			case cell.Column == "Name":
				cell.Path = row.Path
			case cell.Column == "Node" && text != "" && text != "<none>":
				cell.Path = "/machines/" + text
			case k.Name == kube.Events.Name && cell.Column == columnAbout:
				kind, name, _ := strings.Cut(text, "/")
				cell.Path = pathOf(corev1.ObjectReference{Kind: kind, Namespace: r.Namespace, Name: name})
			}
			row.Cells = append(row.Cells, cell)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// columnAbout is what an event is about.
const columnAbout = "About"

// heading is the API's column in the words of the other tables.
func heading(column string) string {
	switch column {
	case "Last Seen":
		return "Last"
	case "Object":
		return columnAbout
	}
	return column
}

// beginning says where a list is of which the table may have no more than the first rows.
func (t table) beginning(total int, path string) table {
	if total != len(t.Rows) {
		t.More = path
	}
	return t
}

func objectPath(k kube.Kind, namespace, name string) string {
	return "/workloads/" + k.Name + "/" + namespace + "/" + name
}

// workloads lists the objects of a kind, in a namespace or in all of them.
func (c *Console) workloads(a *asked) error {
	q := a.URL.Query()
	k := kube.Pods
	if name := q.Get("kind"); name != "" {
		var ok bool
		if k, ok = kube.Workload(name); !ok {
			return errNowhere
		}
	}
	namespace, wanted := q.Get("ns"), q.Get("q")
	var tabs []link
	for _, other := range kube.Workloads() {
		tabs = append(tabs, link{other.Title, "/workloads?" + values("kind", other.Name, "ns", namespace), other.Name == k.Name})
	}
	d := map[string]any{"Kind": k, "Kinds": tabs, "Namespace": namespace, "Query": wanted, "Hint": hint(k)}
	f := frame{Title: "Workloads", Data: d}
	namespaces, err := a.namespaces()
	if err != nil && !apierrors.IsForbidden(err) {
		return err
	}
	if namespaces != nil {
		var names []string
		for _, r := range namespaces.Rows {
			names = append(names, r.Name)
		}
		if namespace != "" && !slices.Contains(names, namespace) {
			names = append(names, namespace)
		}
		d["Namespaces"] = names
	}
	page, err := a.person.Table(a.Context(), k, kube.Ask{
		Namespace: namespace, Contains: wanted, Skip: (pageOf(a.Request) - 1) * perPage, Take: perPage,
	})
	if apierrors.IsForbidden(err) {
		// The page stays, so that another namespace can be chosen.
		d["Refused"] = refused(err, a.session.Name)
		return c.render(a, 403, "workloads", f)
	}
	if err != nil {
		return err
	}
	d["Table"], d["At"] = listing(k, page, namespace == ""), pages(a.Request, len(page.Rows), page.Total)
	of := k.Name
	if namespace != "" {
		of += "/" + namespace
	}
	f.Live = liveOf(of)
	return c.show(a, "workloads", f)
}

// hint says what of a kind a filter finds, by the columns that people look for things in.
func hint(k kube.Kind) string {
	columns := map[string]string{"Name": "name", "Status": "state", "Node": "machine", "Type": "type", "Hosts": "host", "Reason": "reason", "Object": "object"}
	var words []string
	for _, column := range k.Columns {
		if word := columns[column]; word != "" {
			words = append(words, word)
		}
	}
	return strings.Join(words, ", ") + " …"
}

// namespaces are those to choose from; nil where only the page's changing part is asked for,
// which does not have them.
func (a *asked) namespaces() (*kube.Page, error) {
	if a.isPart() {
		return nil, nil
	}
	return a.person.Table(a.Context(), kube.Namespaces, kube.Ask{Take: 5000})
}
