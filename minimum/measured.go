package minimum

import (
	"embed"
	"fmt"
	"slices"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

// measured holds the results of "make minimum", each beside the cluster file that it is of.
//
//go:embed measured/*.json
var measured embed.FS

// Measured are the results that are in this version of craton, by the name of their file.
func Measured() ([]*Results, error) {
	entries, err := measured.ReadDir("measured")
	if err != nil {
		return nil, err
	}
	var all []*Results
	for _, e := range entries {
		b, err := measured.ReadFile("measured/" + e.Name())
		if err != nil {
			return nil, err
		}
		r, err := parse(e.Name(), b)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// Below says of each role of a plan whose machines are smaller than any that was seen to work how much
// it lacks, a sentence each. What the file leaves to the platform is no matter here.
func Below(p *plan.Plan) ([]string, error) {
	all, err := Measured()
	if err != nil {
		return nil, err
	}
	return below(p, all), nil
}

func below(p *plan.Plan, all []*Results) []string {
	var sentences []string
	for _, size := range p.File.Sizes {
		for _, resource := range Resources() {
			has := resource.of(size)
			least, from := 0, ""
			for _, r := range all {
				for _, l := range r.Least {
					if l.Role == contract.Role(size.Role) && l.Resource == resource && l.Value > 0 && (least == 0 || l.Value < least) {
						least, from = l.Value, r.Shape
					}
				}
			}
			if has > 0 && has < least && slices.ContainsFunc(p.Machines, func(m plan.Machine) bool { return m.Role == contract.Role(size.Role) }) {
				sentences = append(sentences, fmt.Sprintf("sizes: a %s's %s of %d %s is below %d, the least with which every operation was seen to work (in a cluster of %s)",
					size.Role, resource, has, resource.unit(), least, from))
			}
		}
	}
	return sentences
}
