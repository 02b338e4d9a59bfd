// Package metrics is metrics as values, and Prometheus' text format of them. What they mean
// and where they come from is others' matter.
package metrics

import (
	"bufio"
	"cmp"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Kind is what a family's values do.
type Kind string

const (
	Counter Kind = "counter" // only grows
	Gauge   Kind = "gauge"
)

// Family is all samples of one name.
type Family struct {
	Name string
	// Help says what a value is, in one line.
	Help    string
	Kind    Kind
	Samples []Sample
}

// Sample is one value. Labels tell it from the others of its family.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// Write writes families in Prometheus' text format, samples sorted by their labels: the same
// families are the same bytes. A family without samples says nothing and is left out.
func Write(w io.Writer, families []Family) error {
	out := bufio.NewWriter(w)
	for _, f := range families {
		if len(f.Samples) == 0 {
			continue
		}
		out.WriteString("# HELP " + f.Name + " " + helpEscapes.Replace(f.Help) + "\n")
		out.WriteString("# TYPE " + f.Name + " " + string(f.Kind) + "\n")
		lines := make([]string, 0, len(f.Samples))
		values := map[string]float64{}
		for _, s := range f.Samples {
			line := f.Name + labels(s.Labels)
			lines = append(lines, line)
			values[line] = s.Value
		}
		slices.SortFunc(lines, cmp.Compare)
		for _, line := range lines {
			out.WriteString(line + " " + strconv.FormatFloat(values[line], 'g', -1, 64) + "\n")
		}
	}
	return out.Flush()
}

var (
	helpEscapes  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	valueEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

func labels(in map[string]string) string {
	if len(in) == 0 {
		return ""
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(in)) {
		all = append(all, name+`="`+valueEscapes.Replace(in[name])+`"`)
	}
	return "{" + strings.Join(all, ",") + "}"
}
