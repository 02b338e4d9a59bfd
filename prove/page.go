package prove

import (
	"html/template"
	"io"
	"slices"

	"craton.dev/craton/contract"
)

// WriteHTML prints a proof as one page that needs no network: a matrix of clauses and operations,
// with what was seen behind each cell.
func WriteHTML(to io.Writer, p *Proof) error {
	t, err := template.New("proof").Funcs(template.FuncMap{
		"cell":     func(n Necessity, op string) cell { return n.cell(op) },
		"sentence": sentence,
		"why":      p.why,
	}).Parse(page)
	if err != nil {
		return err
	}
	return t.Execute(to, struct {
		*Proof
		Columns  []string
		Findings []string
	}{p, p.columns(), p.Findings()})
}

// columns are the operations that were tried.
func (p *Proof) columns() []string {
	var ids []string
	for _, o := range p.Sufficient.Operations {
		ids = append(ids, o.ID)
	}
	return ids
}

// sentence is what an operation is, in words.
func sentence(id string) string {
	for _, o := range contract.Operations() {
		if o.ID == id {
			return o.Sentence
		}
	}
	return ""
}

// cell is what one clause means to one operation.
type cell struct {
	// Mark is a sign, Class its colour, and Title what was seen.
	Mark, Class, Title string
}

func (n Necessity) cell(op string) cell {
	predicted := slices.Contains(n.Predicted, op)
	i := slices.IndexFunc(n.Results, func(r Result) bool { return r.ID == op })
	switch {
	case i < 0:
		return cell{"", "none", "not tried"}
	case n.Results[i].OK && predicted:
		return cell{"!", "finding", "expected to break, but works: " + n.Results[i].Detail}
	case n.Results[i].OK:
		return cell{"·", "works", "works: " + n.Results[i].Detail}
	case predicted:
		return cell{"✕", "breaks", "breaks, as predicted: " + n.Results[i].Detail}
	}
	return cell{"✕!", "finding", "breaks, and was not expected to: " + n.Results[i].Detail}
}

const page = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Proof: {{.Cluster}}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 78rem; padding: 0 1rem; color: #1b1f24; background: #fff }
h1, h2 { line-height: 1.2 } .scroll { overflow-x: auto }
table { border-collapse: collapse } td, th { border: 1px solid #d0d7de; padding: .2rem .45rem; text-align: left; vertical-align: top; font-size: 13px }
th.op { padding: .3rem 0; line-height: 1.3; writing-mode: vertical-rl; transform: rotate(180deg); vertical-align: bottom; white-space: nowrap; font-weight: 500 }
td.m { text-align: center; min-width: 1rem; padding: .2rem } td:first-child { white-space: nowrap } td.breaks { background: #cfe3ff; color: #0a3069; font-weight: 700 }
td.m a { color: inherit; text-decoration: none; display: block } td.works { color: #8c959f } td.finding { background: #ffd8b5; color: #7a2900; font-weight: 700 }
.necessary { color: #0a3069; font-weight: 600 } .untested { color: #57606a }
details { margin: .2rem 0 } summary { cursor: pointer } details table { margin: .4rem 0 }
@media (prefers-color-scheme: dark) { body { background: #0d1117; color: #e6edf3 } td, th { border-color: #30363d }
 td.breaks { background: #1f3a63; color: #cfe3ff } td.finding { background: #5a2e0c; color: #ffd8b5 } .necessary { color: #9ecbff } .untested { color: #9ea7b3 } }
@page { size: landscape; margin: 1cm }
@media print { body { margin: 0; max-width: none } .scroll { overflow: visible } td, th, td.m { font-size: 8px; padding: 1px 3px; min-width: 0 } td:first-child { white-space: normal } tr { break-inside: avoid } details::details-content { content-visibility: visible; display: block } }
</style></head><body>
<h1>What the rules are for</h1>
<p>Cluster {{.Cluster}} ({{.Shape}}), profile {{.Profile}}, {{.Began.Format "2006-01-02 15:04"}} UTC. Results {{.Key}}{{if not .Complete}}: not all clauses, or not all operations, had their turn{{end}}.</p>
<h2>Findings</h2>
{{if .Findings}}<ul>{{range .Findings}}<li>{{.}}</li>{{end}}</ul>{{else}}<p>None: with all rules every operation that was tried works, and what breaks without a clause is what the contract predicts.</p>{{end}}
<h2>Clauses and operations</h2>
<p>✕ breaks without the clause, as predicted; · works without it, as predicted; ✕! breaks and ! works against what was predicted;
empty is not tried without it. Click a cell, or point at it, for what was seen.</p>
<div class="scroll"><table><thead><tr><th>without</th><th>verdict</th>{{range .Columns}}<th class="op" title="{{sentence .}}">{{.}}</th>{{end}}</tr></thead><tbody>
{{$columns := .Columns}}{{range $n := .Necessary}}{{if $n.Results}}<tr><td><a href="#{{$n.Clause}}">{{$n.Clause}}</a></td><td class="{{$n.Verdict}}">{{$n.Verdict}}</td>{{range $columns}}{{with cell $n .}}<td class="m {{.Class}}" title="{{.Title}}"><a href="#{{$n.Clause}}">{{.Mark}}</a></td>{{end}}{{end}}</tr>
{{end}}{{end}}</tbody></table></div>
<h2>With all rules</h2>
<table><thead><tr><th>operation</th><th>works</th><th>seconds</th><th>what was done</th></tr></thead><tbody>
{{range .Sufficient.Operations}}<tr><td>{{.ID}}: {{sentence .ID}}</td><td>{{if .OK}}yes{{else}}<b>no</b>{{end}}</td><td>{{printf "%.1f" .Seconds}}</td><td>{{.Detail}}</td></tr>
{{end}}{{range .Sufficient.Untested}}<tr class="untested"><td>{{.ID}}</td><td>not tried</td><td></td><td>{{.Sentence}}: {{.Reason}}</td></tr>
{{end}}</tbody></table>
<h2>Each clause</h2>
{{range .Necessary}}<details><summary><span class="{{.Verdict}}">{{.Clause}}: {{.Verdict}}</span>, {{why .}}{{with .Finding}} <b>{{.}}</b>{{end}}</summary><div id="{{.Clause}}">
{{if .Results}}<table><tbody>{{range .Results}}<tr><td>{{.ID}}</td><td>{{if .OK}}works{{else}}<b>breaks</b>{{end}}</td><td>{{printf "%.1f" .Seconds}} s</td><td>{{.Detail}}</td></tr>{{end}}</tbody></table>
<p>{{.Dropped}} packets were dropped meanwhile where the clause was.{{if .Broken}} {{printf "%.1f" .Back}} s after it was back, all of it worked again.{{end}}</p>{{end}}</div></details>
{{end}}</body></html>
`
