package cluster

import (
	"fmt"
	"strings"
)

// Reference is the Markdown page that describes every field, for docs/cluster-file.md.
func Reference() []byte {
	var b strings.Builder
	b.WriteString(`<!-- Made by cluster.Reference from the table in cluster/fields.go. Do not edit. -->

# The cluster file

A YAML file describes one cluster. Its name is all that it needs:

` + "```yaml\nname: demo\n```" + `

` + "`craton init`" + ` writes a file with every field and its default in comments; ` + "`craton schema`" + ` prints a
JSON Schema for editors. Parsing is strict: unknown fields, fields given twice, wrong types, anchors,
aliases, merge keys, tags and a second document are refused, and all faults of a file are shown at
once, each with file, line, column and field.

## Fields

`)
	all := fields()
	fieldTable(&b, all)
	sections(&b, "##", "", all)
	b.WriteString("\n## Everything, with defaults\n\nWhat `name: demo` stands for:\n\n```yaml\n")
	b.Write(Default("demo").Canonical())
	b.WriteString("```\n")
	return []byte(b.String())
}

// sections describes the sections of a list of fields, and theirs.
func sections(b *strings.Builder, heading, path string, all []field) {
	for _, f := range all {
		if f.kind != section && f.kind != table {
			continue
		}
		at := join(path, f.name)
		fmt.Fprintf(b, "\n%s %s\n\n%s\n\n", heading, at, cell(f.doc))
		fieldTable(b, f.fields)
		sections(b, heading+"#", at, f.fields)
	}
}

func fieldTable(b *strings.Builder, all []field) {
	b.WriteString("| field | type | default | accepted | meaning |\n|---|---|---|---|---|\n")
	for _, f := range all {
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", f.name, f.kind, f.defaultCell(), cell(f.accepted()), cell(f.doc))
	}
}

func (f *field) defaultCell() string {
	switch {
	case f.required:
		return "required"
	case f.standard != nil:
		return fmt.Sprintf("`%v`", f.standard)
	}
	return cell(f.otherwise)
}

// cell makes text safe in a Markdown table: <name> would be read as HTML.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;").Replace(s)
}
