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

// Below says of each role of a plan whose machines are no larger than ones that were seen not to be enough
// what they lack, a sentence each. What the file leaves to the platform is no matter here.
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
		role := contract.Role(size.Role)
		if !slices.ContainsFunc(p.Machines, func(m plan.Machine) bool { return m.Role == role }) {
			continue
		}
		for _, resource := range Resources() {
			has := resource.of(size)
			// Of several clusters, the one that got along with least.
			var least *Trial
			shape := ""
			for _, r := range all {
				if t := r.tooLittle(role, resource); t != nil && (least == nil || t.Value < least.Value) {
					least, shape = t, r.Shape
				}
			}
			if has > 0 && least != nil && has <= least.Value {
				sentences = append(sentences, fmt.Sprintf("sizes: a %s's %s of %d %s is not enough. In a cluster of %s, with %d: %s",
					role, resource, has, resource.unit(), shape, least.Value, least.Failure))
			}
		}
	}
	return sentences
}
