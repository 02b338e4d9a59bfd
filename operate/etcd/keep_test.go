package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
)

// TestKeepReports protects that the keeper goes on where it can do nothing, that each
// reason reaches the status, and that it ends with its context, and at once where it could
// never work.
func TestKeepReports(t *testing.T) {
	nobody := "https://" + freePort(t)
	for _, test := range []struct {
		name    string
		masters func() ([]Master, error)
		want    string
	}{
		{"no plan", func() ([]Master, error) { return nil, errors.New("the plan is not there") }, "the plan's masters: the plan is not there"},
		{"nobody answers", func() ([]Master, error) { return []Master{{Name: "m1", ClientURL: nobody}}, nil }, nobody},
		{"nobody to ask", func() ([]Master, error) { return nil, nil }, "no endpoint to ask"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		rounds := 0
		err := Keep(ctx, KeepOptions{
			TLS: certificates(t, t.TempDir()), Masters: test.masters, Log: logr.Discard(), Every: time.Millisecond,
			Report: func(s Status) {
				if !strings.Contains(s.Problem, test.want) || s.Time.IsZero() {
					t.Errorf("%s: %+v, want the problem %q", test.name, s, test.want)
				}
				if rounds++; rounds == 3 {
					cancel()
				}
			},
		})
		cancel()
		if err != nil || rounds != 3 {
			t.Errorf("%s: %v after %d rounds", test.name, err, rounds)
		}
	}
	if err := Keep(t.Context(), KeepOptions{TLS: TLS{CA: "/none/ca.crt"}}); err == nil || !strings.Contains(err.Error(), "/none/ca.crt") {
		t.Errorf("without an authority: %v", err)
	}
}

// TestStatusJSON protects what other programs read.
func TestStatusJSON(t *testing.T) {
	s := newStatus(&seen{cluster: 0xabc, members: members("m1* m2- m3+")}, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	got, err := json.Marshal(s)
	want := `{"time":"2026-01-02T03:04:05Z","cluster":"abc","leader":"m1","members":[` +
		`{"id":"1","name":"m1","peerURL":"https://m1:2380","clientURL":"https://m1:2379","healthy":true},` +
		`{"id":"2","name":"m2","peerURL":"https://m2:2380","clientURL":"https://m2:2379","healthy":false,"problem":"connection refused"},` +
		`{"id":"3","name":"m3","peerURL":"https://m3:2380","clientURL":"https://m3:2379","learner":true,"healthy":true}]}`
	if err != nil || string(got) != want {
		t.Errorf("%s (%v), want\n%s", got, err, want)
	}
	if empty, err := json.Marshal(noStatus("x", s.Time)); err != nil || !strings.Contains(string(empty), `"members":[]`) {
		t.Errorf("without members: %s %v, want an empty list", empty, err)
	}
}
