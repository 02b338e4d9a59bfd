package console

import (
	"slices"
	"time"

	"craton.dev/craton/render/manifests/inventory"
)

type certificate = inventory.Certificate

type certificateRow struct {
	inventory.Certificate
	State mark
}

// certificates shows which there are and when they end, the first to end first.
func (c *Console) certificates(a *asked) error {
	all, err := certificatesOf(a.Context(), a.records)
	if err != nil {
		return err
	}
	var rows []certificateRow
	wanted := a.URL.Query().Get("q")
	if all != nil {
		for _, cert := range all.Certificates {
			if mentions(wanted, cert.Name, cert.Machine, cert.Authority) {
				rows = append(rows, certificateRow{cert, certificateState(cert.Ends)})
			}
		}
	}
	slices.SortStableFunc(rows, func(a, b certificateRow) int { return a.Ends.Compare(b.Ends) })
	shown, at := part(a.Request, rows)
	return c.show(a, "certificates", frame{
		Title: "Certificates", Lead: "What craton has issued, the first to end first. Keys are not in the cluster.",
		Live: liveOf("configmaps"), Data: map[string]any{"Rows": shown, "At": at, "Query": wanted},
	})
}

func certificateState(ends time.Time) mark {
	switch left := time.Until(ends); {
	case left < 0:
		return state("bad", "Ended")
	case left < soon:
		return state("warn", "Ends soon")
	}
	return state("ok", "Good")
}
