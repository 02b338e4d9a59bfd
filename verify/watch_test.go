package verify

import (
	"context"
	"errors"
	"slices"
	"testing"
)

// TestWatch protects the watcher from missing a change, and from a line for each packet that is
// counted: it tells of rules that differ, of rules that cannot be read, and of nothing else.
func TestWatch(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	lists := []string{`a "packets": 1`, `a "packets": 2`, `b "packets": 3`, "", `b "packets": 3`}
	var told []string
	err := Watch(ctx, func(context.Context) ([]byte, error) {
		if len(lists) == 0 {
			stop()
			return nil, errors.New("stopped")
		}
		now := lists[0]
		lists = lists[1:]
		if now == "" {
			return nil, errors.New("gone")
		}
		return []byte(now), nil
	}, func(listing []byte) (*Verification, error) {
		return &Verification{Kind: string(listing[:1])}, nil
	}, func(v *Verification, err error) error {
		if err != nil {
			told = append(told, err.Error())
		} else {
			told = append(told, v.Kind)
		}
		return nil
	})
	if want := []string{"a", "b", "gone", "b"}; err != nil || !slices.Equal(told, want) {
		t.Errorf("told %v, %v; expected %v", told, err, want)
	}
}
