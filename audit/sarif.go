package audit

import (
	"encoding/json"
	"io"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// SARIF 2.1.0, as far as a code host needs it to show findings beside the files.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool    sarifTool     `json:"tool"`
		Results []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string       `json:"id"`
		ShortDescription sarifMessage `json:"shortDescription"`
	}
	sarifMessage struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		Level     string          `json:"level"`
		Message   sarifMessage    `json:"message"`
		Locations []sarifLocation `json:"locations,omitempty"`
	}
	sarifLocation struct {
		Physical *sarifPhysical `json:"physicalLocation,omitempty"`
		Logical  []sarifLogical `json:"logicalLocations,omitempty"`
	}
	sarifPhysical struct {
		Artifact struct {
			URI string `json:"uri"`
		} `json:"artifactLocation"`
		Region *sarifRegion `json:"region,omitempty"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
	sarifLogical struct {
		Name string `json:"fullyQualifiedName"`
	}
)

// The kinds of findings are the rules of SARIF.
var sarifRules = []sarifRule{
	{"clause-not-met", sarifMessage{"A clause of the platform document is not met"}},
	{"opening", sarifMessage{"Something is open that no clause asks for"}},
	{"dead-rule", sarifMessage{"A rule that can never match"}},
	{"not-understood", sarifMessage{"Something that was not understood"}},
}

// WriteSARIF writes the findings as SARIF 2.1.0.
func WriteSARIF(w io.Writer, a *Audit) error {
	run := sarifRun{Results: []sarifResult{}}
	run.Tool.Driver = sarifDriver{Name: "craton audit", InformationURI: "https://craton.dev", Rules: sarifRules}
	add := func(rule, level, message string, evidence ...string) {
		r := sarifResult{RuleID: rule, Level: level, Message: sarifMessage{message}}
		for _, e := range evidence {
			r.Locations = append(r.Locations, located(e))
		}
		run.Results = append(run.Results, r)
	}
	for _, c := range a.Clauses {
		message := c.ID + " is " + string(c.Verdict) + ": " + c.Detail
		if len(c.Operations) > 0 {
			message += ". What will break: " + strings.Join(c.Operations, "; ")
		}
		switch c.Verdict {
		case Met:
		case Unknown:
			add("clause-not-met", "warning", message, c.Evidence...)
		default:
			add("clause-not-met", "error", message, c.Evidence...)
		}
	}
	for _, o := range a.Openings {
		add("opening", "error", string(o.Role)+" "+string(o.Direction)+" "+o.Protocol+" "+strings.Join(o.Ports, ",")+", "+strings.Join(o.Peers, ", ")+": "+o.Detail, o.Evidence)
	}
	for _, f := range a.Dead {
		add("dead-rule", "warning", f.Detail, f.Evidence)
	}
	for _, f := range a.NotUnderstood {
		add("not-understood", "warning", f.Detail, f.Evidence)
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}})
}

var lined = regexp.MustCompile(`^([^\n]*?):([0-9]+)(: |$)`)

// located is the place that evidence begins with: file and line, file and name, or a file.
func located(evidence string) sarifLocation {
	p := &sarifPhysical{}
	if m := lined.FindStringSubmatch(evidence); m != nil {
		p.Artifact.URI = uri(m[1])
		if n, err := strconv.Atoi(m[2]); err == nil && n > 0 {
			p.Region = &sarifRegion{n}
		}
		return sarifLocation{Physical: p}
	}
	file, rest, named := strings.Cut(evidence, ": ")
	p.Artifact.URI = uri(file)
	// Code hosts ask for a line: of a name in a document of JSON it is the first one.
	p.Region = &sarifRegion{1}
	if !named {
		return sarifLocation{Physical: p}
	}
	return sarifLocation{Physical: p, Logical: []sarifLogical{{rest}}}
}

// uri is a file's name as SARIF has it.
func uri(file string) string { return (&url.URL{Path: filepath.ToSlash(file)}).String() }
