package console

import (
	"time"

	"craton.dev/craton/render/manifests/inventory"
)

type operationRow struct {
	inventory.Operation
	State mark
	Took  string
	// Running tells whether it still goes on.
	Running bool
}

// operations shows what is and was done to the cluster as a whole.
func (c *Console) operations(a *asked) error {
	all, err := operationsOf(a.Context(), a.records)
	if err != nil {
		return err
	}
	var rows []operationRow
	if all != nil {
		for _, op := range all.Operations {
			rows = append(rows, operationRowOf(op, time.Now()))
		}
	}
	return c.show(a, "operations", frame{
		Title: "Operations", Lead: "What was done to the cluster as a whole, the latest first.",
		Live: liveOf("configmaps"), Data: map[string]any{"Rows": rows},
	})
}

func operationRowOf(op inventory.Operation, now time.Time) operationRow {
	row := operationRow{Operation: op, Running: op.Ended.IsZero()}
	switch {
	case row.Running:
		row.State, row.Took = state("none", "Running"), span(now.Sub(op.Began))
	case op.Failed != "":
		row.State, row.Took = state("bad", "Failed"), span(op.Ended.Sub(op.Began))
	default:
		row.State, row.Took = state("ok", "Done"), span(op.Ended.Sub(op.Began))
	}
	return row
}
