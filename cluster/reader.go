package cluster

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// reader goes through the nodes of a YAML file by the table of fields. It goes on after a
// fault, so that one run shows all of them.
type reader struct {
	file    string
	cluster *Cluster
	errors  Errors
	// seen has the node of each field's value that the file gives, by path.
	seen map[string]*yaml.Node
	// bad has the paths whose value is already known to be wrong: relations with them are
	// not checked, as a fault is reported once.
	bad map[string]bool
}

func (r *reader) fail(at *yaml.Node, path, message, hint string) {
	r.failAt(at.Line, at.Column, path, message, hint)
	r.bad[path] = true
}

func (r *reader) failAt(line, column int, path, message, hint string) {
	r.errors = append(r.errors, &Error{File: r.file, Line: max(line, 1), Column: max(column, 1),
		Path: path, Message: message, Hint: hint})
}

// mapping reads a mapping whose fields are known.
func (r *reader) mapping(node *yaml.Node, path string, known []field) {
	first := map[string]*yaml.Node{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		switch {
		case key.ShortTag() == "!!merge":
			r.fail(key, path, "merge keys (<<) are not used in cluster files", "write the fields out")
			continue
		case key.Kind != yaml.ScalarNode:
			r.fail(key, path, "found "+describe(key)+" where a field's name is expected", "")
			continue
		}
		name := key.Value
		at := join(path, name)
		r.plain(key, at)
		if before := first[name]; before != nil {
			r.fail(key, at, fmt.Sprintf("is given twice, first in line %d", before.Line), "keep one of them")
			continue
		}
		first[name] = key
		f := find(known, name)
		if f == nil {
			message, hint := unknown(path, name, known)
			r.fail(key, at, message, hint)
			continue
		}
		r.value(key, value, at, f)
	}
	for _, f := range known {
		if f.required && first[f.name] == nil {
			r.fail(node, join(path, f.name), "is missing, expected "+expected(&f), "it has no default")
		}
	}
}

// plain reports anchors and explicit tags. They would make a short file mean more than it
// shows; a cluster file has no use for them.
func (r *reader) plain(node *yaml.Node, path string) {
	if node.Anchor != "" {
		r.fail(node, path, fmt.Sprintf("anchors (&%s) are not used in cluster files", node.Anchor), "write the value out where it is needed")
	}
	if node.Style&yaml.TaggedStyle != 0 {
		r.fail(node, path, fmt.Sprintf("tags (%s) are not used in cluster files", quote(node.Tag)), "leave the tag out")
	}
}

// value reads one field's value into the cluster.
func (r *reader) value(key, node *yaml.Node, path string, f *field) {
	r.seen[path] = node
	if node.Kind == yaml.AliasNode {
		r.fail(node, path, fmt.Sprintf("aliases (*%s) are not used in cluster files", node.Value), "write the value out")
		return
	}
	before := len(r.errors)
	r.plain(node, path)
	if len(r.errors) > before {
		return
	}
	if node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null" {
		// A missing value has no place of its own.
		hint := "give it one or leave the line out"
		if f.required {
			hint = "give it one"
		}
		r.fail(key, path, "has no value, expected "+expected(f), hint)
		return
	}
	switch f.kind {
	case section:
		if node.Kind != yaml.MappingNode {
			r.wrongType(node, path, f)
			return
		}
		r.mapping(node, path, f.fields)
	case list:
		r.list(node, path, f)
	case table:
		r.rows(node, path, f)
	default:
		r.scalar(node, path, f)
	}
}

func (r *reader) list(node *yaml.Node, path string, f *field) {
	if node.Kind != yaml.SequenceNode {
		r.wrongType(node, path, f)
		return
	}
	items := f.at(r.cluster).(*[]string)
	first := map[string]int{}
	for i, item := range node.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		before := len(r.errors)
		r.plain(item, at)
		switch {
		case len(r.errors) > before:
		case item.Kind == yaml.AliasNode:
			r.fail(item, at, fmt.Sprintf("aliases (*%s) are not used in cluster files", item.Value), "write the value out")
		case item.Kind != yaml.ScalarNode || item.ShortTag() != "!!str":
			r.wrongType(item, at, &field{kind: text})
		default:
			if fault, hint := f.check(item.Value); fault != "" {
				r.fail(item, at, fault, hint)
			} else if line, again := first[item.Value]; again {
				r.fail(item, at, fmt.Sprintf("is in the list twice, first in line %d", line), "keep one of them")
			}
			if _, again := first[item.Value]; !again {
				first[item.Value] = item.Line
			}
			*items = append(*items, item.Value)
		}
		r.seen[at] = item
		r.bad[path] = r.bad[path] || r.bad[at]
	}
	if f.required && len(node.Content) == 0 {
		r.fail(node, path, "is empty", "expected "+f.accepts)
	}
	if f.mostItems > 0 && len(node.Content) > f.mostItems {
		r.fail(node, path, fmt.Sprintf("has %d items, expected at most %d", len(node.Content), f.mostItems), "")
	}
}

// decimal is how a number is written here. YAML's other notations (0x10, 010, 1_000) are
// refused, since 010 is 8.
var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

func (r *reader) scalar(node *yaml.Node, path string, f *field) {
	if node.Kind != yaml.ScalarNode || node.ShortTag() != f.kind.tag() {
		r.wrongType(node, path, f)
		return
	}
	switch to := f.at(r.cluster).(type) {
	case *bool:
		if node.Decode(to) != nil {
			r.wrongType(node, path, f)
		}
	case *int:
		if !decimal.MatchString(node.Value) {
			r.fail(node, path, fmt.Sprintf("%s is not a plain decimal number", quote(node.Value)), "write it with the digits 0-9 only")
			return
		}
		n, err := strconv.ParseInt(node.Value, 10, 32)
		if err != nil {
			r.fail(node, path, fmt.Sprintf("%s is out of range, expected %s", quote(node.Value), expected(f)), "")
			return
		}
		if fault, hint := f.number(int(n)); fault != "" {
			r.fail(node, path, fault, hint)
			return
		}
		*to = int(n)
	case *string:
		if fault, hint := f.text(node.Value); fault != "" {
			r.fail(node, path, fault, hint)
			return
		}
		*to = node.Value
	}
}

// number judges a number by the table.
func (f *field) number(n int) (fault, hint string) {
	switch {
	case len(f.enum) > 0 && !slices.Contains(f.enum, any(n)):
		if f.explain != nil {
			return f.explain(n)
		}
		return fmt.Sprintf("%d is not %s", n, expected(f)), ""
	case len(f.enum) == 0 && n < f.least:
		return fmt.Sprintf("%d is too small, expected %s", n, f.accepts), ""
	case f.most > 0 && n > f.most:
		return fmt.Sprintf("%d is too large, expected %s", n, f.accepts), ""
	}
	return "", ""
}

// text judges a text by the table.
func (f *field) text(s string) (fault, hint string) {
	if len(f.enum) > 0 && !slices.Contains(f.enum, any(s)) {
		if near := nearest(s, words(f.enum)); near != "" && len(f.enum) > 1 {
			hint = fmt.Sprintf("did you mean %s?", near)
		}
		return fmt.Sprintf("found %s, expected %s", quote(s), expected(f)), hint
	}
	if f.check != nil {
		return f.check(s)
	}
	return "", ""
}

func (r *reader) wrongType(node *yaml.Node, path string, f *field) {
	hint := ""
	switch {
	case f.kind == text && node.Kind == yaml.ScalarNode:
		hint = fmt.Sprintf("put it in quotes if you mean the text %s", quote(node.Value))
	case f.kind == boolean:
		// What older YAML took for true and false.
		switch strings.ToLower(node.Value) {
		case "yes", "on", "y", "true", "1":
			hint = "write true"
		case "no", "off", "n", "false", "0":
			hint = "write false"
		}
	case f.kind == list || f.kind == table:
		hint = "write each item on a line of its own after a dash"
	case f.kind == number && node.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 && decimal.MatchString(node.Value):
		hint = "leave the quotes out"
	case f.kind == section:
		hint = "its fields are " + strings.Join(names(f.fields), ", ")
	}
	r.fail(node, path, "found "+describe(node)+", expected "+expected(f), hint)
}

func join(path, name string) string {
	if !isName.MatchString(name) {
		name = quote(name)
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// isName is a field's name that can be shown without quotes.
var isName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,60}$`)
