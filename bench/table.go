package main

import (
	"fmt"
	"slices"
	"strings"
)

// samples are what was measured, by name; the n-th value of each is of the n-th run.
type samples map[string][]float64

func (s samples) add(name string, value float64) { s[name] = append(s[name], value) }

// figure is one line of the table.
type figure struct {
	title  string
	sample string
	unit   string
	// scale is what the sample is multiplied with to be in the unit; 0 means 1.
	scale float64
	// against, where set, is the sample that each run's value is divided by.
	against string
	// goal is "" for what is only told. It is about the ratio where there is one, and
	// about the value otherwise.
	goal  sign
	limit float64
}

type sign string

const (
	atMost  sign = "≤"
	atLeast sign = "≥"
)

// table is the figures that were measured, as Markdown.
func table(s samples, figures []figure) string {
	var b strings.Builder
	b.WriteString("| figure | unit | min | median | max | against (median) | ratio: min | median | max | goal | verdict |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, f := range figures {
		values := s[f.sample]
		if len(values) == 0 {
			continue
		}
		if f.scale != 0 {
			values = scaled(values, f.scale)
		}
		against, ratio := "", "||"
		judged := values
		if f.against != "" {
			others := s[f.against]
			if f.scale != 0 {
				others = scaled(others, f.scale)
			}
			n := min(len(values), len(others))
			if n == 0 {
				continue // the other side of the pair was not asked for
			}
			judged = nil
			for i := range n {
				judged = append(judged, values[i]/others[i])
			}
			against, ratio = number(median(others)), spread(judged)
		}
		goal, verdict := "", ""
		if f.goal != "" {
			goal = fmt.Sprintf("%s %s", f.goal, number(f.limit))
			verdict = "met"
			m := median(judged)
			if f.goal == atMost && m > f.limit || f.goal == atLeast && m < f.limit {
				verdict = "**not met**"
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", f.title, f.unit, spread(values), against, ratio, goal, verdict)
	}
	return b.String()
}

func scaled(values []float64, by float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = v * by
	}
	return out
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// spread is the least, the median and the greatest as three cells.
func spread(values []float64) string {
	return number(slices.Min(values)) + " | " + number(median(values)) + " | " + number(slices.Max(values))
}

// number has three digits that count.
func number(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 0.1:
		return fmt.Sprintf("%.3f", v)
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}
