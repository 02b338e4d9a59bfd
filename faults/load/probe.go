package load

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"time"
)

// Wait is a request of a client that retries which took long.
type Wait struct {
	Began time.Time
	Took  time.Duration
	// Fresh says that each attempt had a connection of its own.
	Fresh bool
	// Error is what the last attempt that failed was told; "" where the answer was slow.
	Error string
	// Open says that there was no answer when the load was stopped.
	Open bool
}

const (
	// probeEvery is how often a probe begins a request.
	probeEvery = 150 * time.Millisecond
	// probeAttempt is when it gives an attempt up, and retryAfter how long it waits then.
	probeAttempt = 2 * time.Second
	retryAfter   = 50 * time.Millisecond
	// long is what is worth noting.
	long = 250 * time.Millisecond
)

// probe is a client that tries until it succeeds. It reads and writes by turns: both need a
// majority of etcd.
type probe struct {
	http  *http.Client
	url   string
	path  string
	fresh bool
	waits []Wait
}

func (p *probe) run(ctx context.Context) {
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		w := Wait{Began: time.Now(), Fresh: p.fresh}
		for {
			err := p.once(ctx, n)
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				w.Open = true
				break
			}
			w.Error = err.Error()
			time.Sleep(retryAfter)
		}
		if w.Took = time.Since(w.Began); w.Took >= long {
			p.waits = append(p.waits, w)
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

func (p *probe) once(ctx context.Context, n int) error {
	if n%2 == 1 {
		return request(ctx, p.http, probeAttempt, http.MethodGet, p.url+p.path, "", nil).problem()
	}
	name := path.Base(p.path)
	value := map[string]string{"value": fmt.Sprint(n)}
	a := request(ctx, p.http, probeAttempt, http.MethodPatch, p.url+p.path, asPatch, map[string]any{"data": value})
	if a.err == nil && a.status == http.StatusNotFound {
		a = request(ctx, p.http, probeAttempt, http.MethodPost, p.url+path.Dir(p.path), asJSON,
			object{APIVersion: "v1", Kind: "ConfigMap", Metadata: metadata{Name: name}, Data: value})
		if a.err == nil && a.status == http.StatusConflict {
			return nil // the other probe was first
		}
	}
	return a.problem()
}

// Gap is the longest wait between two points in time, of those that began or ended there.
func Gap(waits []Wait, from, to time.Time) Wait {
	longest := Wait{}
	for _, w := range waits {
		if end := w.Began.Add(w.Took); end.Before(from) || w.Began.After(to) {
			continue
		}
		if w.Took > longest.Took {
			longest = w
		}
	}
	return longest
}
