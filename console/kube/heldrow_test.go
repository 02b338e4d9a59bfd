package kube

import (
	"fmt"
	"testing"
	"time"
)

// TestHeldRow shows that what changes as time passes is right each time a row is shown.
func TestHeldRow(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	columns := []string{"Name", "Ready", "Status", "Restarts", "Age", "Node"}
	r := holdRow(columns, Row{
		Namespace: "team-a", Name: "web-1", Made: now.Add(-3 * time.Hour),
		Cells: []string{"web-1", "1/1", "Running", "3 (5m12s ago)", "3h", "Worker-1"},
	}, now)
	for after, want := range map[time.Duration]string{
		0:                "[web-1 1/1 Running 3 (5m12s ago) 3h Worker-1]",
		20 * time.Minute: "[web-1 1/1 Running 3 (25m ago) 3h20m Worker-1]",
		48 * time.Hour:   "[web-1 1/1 Running 3 (2d ago) 2d3h Worker-1]",
	} {
		if got := fmt.Sprint(r.shown(columns, now.Add(after))); got != want {
			t.Errorf("after %s it is %s, want %s", after, got, want)
		}
	}
	for text, want := range map[string]bool{"team": true, "eb-1": true, "running": true, "worker-1": true, "5m12s": true, "3h": true, "2/2": false, "": true, "4h": false} {
		if got := r.has(columns, text, now); got != want {
			t.Errorf("has %q: %v, want %v", text, got, want)
		}
	}
}

func TestParseAge(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0s": 0, "90s": 90 * time.Second, "5m12s": 5*time.Minute + 12*time.Second, "3h": 3 * time.Hour, "2d5h": 53 * time.Hour, "1y30d": 395 * 24 * time.Hour,
	} {
		if got, ok := parseAge(text); !ok || got != want {
			t.Errorf("%s: %s, %v, want %s", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "<invalid>", "<unknown>", "5", "5w", "-3m"} {
		if got, ok := parseAge(text); ok {
			t.Errorf("%q is %s, and was to be refused", text, got)
		}
	}
}
