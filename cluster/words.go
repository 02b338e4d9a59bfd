package cluster

import (
	"fmt"
	"strings"

	"github.com/agext/levenshtein"
	"gopkg.in/yaml.v3"
)

// tag is the YAML tag of a scalar of this kind.
func (k kind) tag() string {
	return [...]string{text: "!!str", number: "!!int", boolean: "!!bool", list: "!!seq", section: "!!map", table: "!!seq"}[k]
}

func (k kind) String() string {
	return [...]string{text: "text", number: "a number", boolean: "true or false", list: "a list", section: "a section with fields", table: "a list of sections with fields"}[k]
}

// expected says what a field wants, for messages.
func expected(f *field) string {
	switch {
	case len(f.enum) == 1:
		return words(f.enum)[0]
	case len(f.enum) > 1:
		return or(words(f.enum))
	case f.accepts == "":
		return f.kind.String()
	case f.kind == number:
		return "a number, " + f.accepts
	case f.kind == list:
		return "a list: " + f.accepts
	}
	return f.accepts
}

// describe says what a node is, for messages.
func describe(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a section with fields"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch node.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!int", "!!float":
		return "the number " + clip(node.Value)
	case "!!bool":
		return clip(node.Value)
	case "!!timestamp":
		return "the date " + clip(node.Value)
	}
	return "the text " + quote(node.Value)
}

// clip is quote without the quotes.
func clip(s string) string {
	q := quote(s)
	return q[1 : len(q)-1]
}

// unknown says that a field does not exist and which one was probably meant.
func unknown(path, name string, known []field) (message, hint string) {
	message = "is not a field of a cluster file"
	if path != "" {
		message = "is not a field of " + path
	}
	if near := nearest(name, names(known)); near != "" {
		return message, fmt.Sprintf("did you mean %s?", near)
	}
	// The right name at the wrong place.
	all := fields()
	if path != "" && find(all, name) != nil {
		return message, "it belongs to the file's top level: take out the indentation"
	}
	for _, f := range all {
		if f.kind == section && join("", f.name) != path && find(f.fields, name) != nil {
			return message, fmt.Sprintf("it belongs under %s", f.name)
		}
	}
	return message, "the fields are " + strings.Join(names(known), ", ")
}

// nearest is the word that was probably meant, or "".
func nearest(found string, words []string) string {
	if len(found) > 40 {
		return ""
	}
	best, distance := "", 0
	for _, w := range words {
		d := levenshtein.Distance(strings.ToLower(found), strings.ToLower(w), nil)
		// A third of the letters may be wrong; more is another word.
		if d <= max(1, min(len(found), len(w))/3) && (best == "" || d < distance) {
			best, distance = w, d
		}
	}
	if best != "" || len(found) < 3 {
		return best
	}
	for _, w := range words {
		if strings.HasPrefix(strings.ToLower(w), strings.ToLower(found)) {
			return w
		}
	}
	return ""
}

func find(all []field, name string) *field {
	for i := range all {
		if all[i].name == name {
			return &all[i]
		}
	}
	return nil
}

func names(all []field) []string {
	list := make([]string, len(all))
	for i, f := range all {
		list[i] = f.name
	}
	return list
}

func words(all []any) []string {
	list := make([]string, len(all))
	for i, v := range all {
		list[i] = fmt.Sprint(v)
	}
	return list
}

func or(all []string) string {
	if len(all) == 1 {
		return all[0]
	}
	return strings.Join(all[:len(all)-1], ", ") + " or " + all[len(all)-1]
}
