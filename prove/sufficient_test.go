package prove

import (
	"context"
	"errors"
	"testing"

	"craton.dev/craton/operation"
)

// Where nobody wants a clause taken out none is, every operation is tried, and one that does not work is named.
func TestOnlySufficient(t *testing.T) {
	p := makePlan(t, "profile: minimal\n")
	f := &fabric{}
	opt := Options{Plan: p, Fabric: f, Operations: obeying(t, p, f, nil), Clauses: []string{}, Out: func(id string) error {
		t.Errorf("%s is taken out", id)
		return nil
	}}
	proof, err := Run(t.Context(), opt)
	if err != nil || len(proof.Necessary) > 0 || proof.Complete {
		t.Errorf("%v; %+v", err, proof.Necessary)
	}
	tried := 0
	for i, o := range opt.Operations {
		if o.Do == nil {
			continue
		}
		if tried++; o.ID == "ssh" {
			opt.Operations[i].Do = func(context.Context, *operation.Stage) (string, error) { return "", errors.New("nobody answers") }
		}
	}
	if len(proof.Sufficient.Operations) != tried || tried == 0 {
		t.Errorf("%d operations were tried, and %d can be", len(proof.Sufficient.Operations), tried)
	}
	var insufficient *NotSufficient
	if _, err := Run(t.Context(), opt); !errors.As(err, &insufficient) || insufficient.Operation != "ssh" {
		t.Errorf("without ssh: %v", err)
	}
}
