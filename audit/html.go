package audit

import (
	_ "embed"
	"html/template"
	"io"
	"strings"
)

//go:embed report.html
var report string

var page = template.Must(template.New("report").Funcs(template.FuncMap{"join": strings.Join}).Parse(report))

// WriteHTML writes the report as one page that needs no network.
func WriteHTML(w io.Writer, a *Audit) error { return page.Execute(w, a) }
