package cluster

import (
	"fmt"

	"gopkg.in/yaml.v3"
)

// rows is a list of sections: how many a cluster has, how to add one, and how to look at one.
// The fields of a row are written for a list's first row; view is a cluster whose list has only
// one row, which is the same memory.
type rows struct {
	count func(*Cluster) int
	add   func(*Cluster)
	view  func(*Cluster, int) *Cluster
	// unique is the field in which no two rows may be alike; "" for none.
	unique string
}

func rowsOf[T any](unique string, list func(*Cluster) *[]T) *rows {
	return &rows{
		count: func(c *Cluster) int { return len(*list(c)) },
		add:   func(c *Cluster) { *list(c) = append(*list(c), *new(T)) },
		view: func(c *Cluster, i int) *Cluster {
			v := &Cluster{}
			*list(v) = (*list(c))[i : i+1 : i+1]
			return v
		},
		unique: unique,
	}
}

// rows reads a list of sections.
func (r *reader) rows(node *yaml.Node, path string, f *field) {
	if node.Kind != yaml.SequenceNode {
		r.wrongType(node, path, f)
		return
	}
	whole := r.cluster
	defer func() { r.cluster = whole }()
	first := map[string]int{}
	for i, item := range node.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		r.seen[at] = item
		before := len(r.errors)
		r.plain(item, at)
		f.rows.add(whole)
		switch {
		case len(r.errors) > before:
		case item.Kind == yaml.AliasNode:
			r.fail(item, at, fmt.Sprintf("aliases (*%s) are not used in cluster files", item.Value), "write the value out")
		case item.Kind != yaml.MappingNode:
			r.wrongType(item, at, &field{kind: section, fields: f.fields})
		default:
			r.cluster = f.rows.view(whole, i)
			setDefaults(r.cluster, f.fields)
			r.mapping(item, at, f.fields)
			key := r.seen[join(at, f.rows.unique)]
			if f.rows.unique == "" || key == nil || r.bad[join(at, f.rows.unique)] {
				break
			}
			if line, again := first[key.Value]; again {
				r.fail(key, join(at, f.rows.unique), fmt.Sprintf("is in the list twice, first in line %d", line), "keep one of them")
			} else {
				first[key.Value] = key.Line
			}
		}
		r.bad[path] = r.bad[path] || len(r.errors) > before
	}
}
