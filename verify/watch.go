package verify

import (
	"bytes"
	"context"
	"regexp"
	"time"
)

// watchEvery is how often rules are read: reading is cheap, and deciding is done only where they
// have changed.
const watchEvery = time.Second

// counted are the values of counters, which change all the time.
var counted = regexp.MustCompile(`"(packets|bytes)": *[0-9]+`)

// Watch reads rules again and again till ctx ends, decides about them where they are not what
// they were, and tells what comes of it; also that they cannot be read.
func Watch(ctx context.Context, list func(context.Context) ([]byte, error), decide func(listing []byte) (*Verification, error), tell func(*Verification, error) error) error {
	var before []byte
	var problem string
	for {
		listing, err := list(ctx)
		if ctx.Err() != nil {
			return nil
		}
		now := counted.ReplaceAll(listing, nil)
		switch {
		case err != nil && err.Error() != problem:
			problem, before = err.Error(), nil
			if err := tell(nil, err); err != nil {
				return err
			}
		case err == nil && !bytes.Equal(now, before):
			problem, before = "", now
			if err := tell(decide(listing)); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchEvery):
		}
	}
}
