package cluster

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Template is the commented file that craton init writes. Only the name is set, and what a new
// file begins with; a line with # right before a setting is a default which can be uncommented.
func Template(name string) []byte {
	var b strings.Builder
	b.WriteString(`# A craton cluster. The name is all that a cluster needs; everything else has a default.
#
# A # right before a setting marks a default: take the # away to set it yourself. Within a
# section the setting keeps its two spaces.
# "craton plan -f FILE" shows what follows from this file, "craton schema" prints its JSON Schema.

`)
	for _, f := range fields() {
		templateField(&b, &f, name)
	}
	return []byte(strings.TrimRight(b.String(), "\n") + "\n")
}

// templateField writes a field of the file's top level.
func templateField(b *strings.Builder, f *field, name string) {
	switch f.name {
	case "apiVersion", "kind":
		// They are no settings: they say which file this is, also to other programs.
		b.WriteString(string(encode(map[string]any{f.name: f.standard})))
		if f.name == "kind" {
			b.WriteString("\n")
		}
		return
	case "name":
		comment(b, "# ", f.meaning())
		b.WriteString(string(encode(map[string]any{f.name: name})) + "\n")
		return
	}
	comment(b, "# ", f.meaning())
	switch {
	case f.kind == section && f.defaults():
		begun := slices.ContainsFunc(f.fields, func(inner field) bool { return inner.begun != nil })
		mark := "#"
		if begun {
			mark = ""
		}
		b.WriteString(mark + f.name + ":\n")
		for _, inner := range f.fields {
			comment(b, mark+"  # ", inner.meaning())
			if inner.begun != nil {
				b.WriteString("  " + string(encode(map[string]any{inner.name: inner.begun})))
			} else {
				b.WriteString("#  " + string(encode(map[string]any{inner.name: inner.standard})))
			}
		}
	case f.kind == section:
		b.WriteString("# For instance:\n#     " + f.name + ":\n")
		for _, inner := range f.fields {
			comment(b, "#       # ", inner.meaning())
			b.WriteString(prefixed("#       ", encode(map[string]any{inner.name: inner.instance()})))
		}
	case f.kind == table:
		b.WriteString("# For instance:\n")
		b.WriteString(prefixed("#     ", encode(map[string]any{f.name: f.instance()})))
	case f.standard != nil:
		b.WriteString("#" + string(encode(map[string]any{f.name: f.standard})))
	case f.example != nil:
		b.WriteString("# For instance:\n")
		b.WriteString(prefixed("#     ", encode(map[string]any{f.name: f.example})))
	}
	b.WriteString("\n")
}

// instance is a value for the template: the example, the default, or a row of these.
func (f *field) instance() any {
	switch {
	case f.kind == table:
		row := &yaml.Node{Kind: yaml.MappingNode}
		for _, inner := range f.fields {
			value := &yaml.Node{}
			// Examples and defaults are texts, numbers and lists, which always encode.
			if err := value.Encode(inner.instance()); err != nil {
				panic(err)
			}
			row.Content = append(row.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: inner.name}, value)
		}
		return []*yaml.Node{row}
	case f.example != nil:
		return f.example
	}
	return f.standard
}

// defaults says whether each field of a section has a default.
func (f *field) defaults() bool {
	for _, inner := range f.fields {
		if inner.standard == nil {
			return false
		}
	}
	return true
}

// meaning is the doc, what is accepted and the default, in sentences.
func (f *field) meaning() string {
	s := f.doc
	if accepted := f.accepted(); accepted != "" {
		s += " Accepted: " + accepted + "."
	}
	if f.otherwise != "" {
		s += " Default: " + f.otherwise + "."
	}
	return s
}

// accepted says which values a field takes; "" for a section.
func (f *field) accepted() string {
	switch {
	case f.kind == section:
		return ""
	case len(f.enum) == 1:
		return "only " + words(f.enum)[0]
	case len(f.enum) > 1:
		return or(words(f.enum))
	case f.accepts != "":
		return f.accepts
	}
	return f.kind.String()
}

// comment writes text in lines of at most 96 characters.
func comment(b *strings.Builder, prefix, text string) {
	line := prefix
	for _, word := range strings.Fields(text) {
		if len(line)+len(word) > 96 && line != prefix {
			b.WriteString(strings.TrimRight(line, " ") + "\n")
			line = prefix
		}
		line += word + " "
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
}

func prefixed(prefix string, text []byte) string {
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		fmt.Fprintf(&b, "%s%s", prefix, line)
	}
	return b.String()
}
