//go:build ignore

package main

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limits say how often somebody may try to sign in. What is limited is what a guesser has to
// do again and again, and what makes Dex write something down for a stranger.
type limits struct {
	prefix string
	source func(*http.Request) string

	// pair is by account and address, account by account alone: somebody who tries out
	// passwords from one address keeps nobody else from signing in, and somebody who has many
	// addresses still gets few tries.
	pair, account *buckets
	// code is for codes of devices, which belong to no account: one bucket for everybody.
	code *buckets
	// writes is by address, for all that makes Dex keep something.
	writes *buckets
}

func newLimits(prefix string, source func(*http.Request) string) *limits {
	return &limits{
		prefix: prefix, source: source,
		pair:    newBuckets(5, 12*time.Second),
		account: newBuckets(20, 3*time.Second),
		code:    newBuckets(10, 2*time.Second),
		// Signing in takes six of them, and where a load balancer hides addresses all people have
		// one together.
		writes: newBuckets(300, 50*time.Millisecond),
	}
}

// largestForm is the most bytes of a request's body. A SAML response is the largest there is.
const largestForm = 1 << 20

func (l *limits) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, largestForm)
		if !l.allow(r) {
			w.Header().Set("Retry-After", "60")
			http.Error(w, "Too many attempts to sign in: wait a minute and try again.", http.StatusTooManyRequests)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (l *limits) allow(r *http.Request) bool {
	at, ours := strings.CutPrefix(r.URL.Path, strings.TrimSuffix(l.prefix, "/"))
	if !ours {
		return true
	}
	source := l.source(r)
	switch {
	case at == "/healthz", at == "/keys", strings.HasPrefix(at, "/.well-known/"),
		strings.HasPrefix(at, "/static/"), strings.HasPrefix(at, "/theme/"):
		return true // these are read only, and the API server reads them
	case !l.writes.take(source):
		return false
	case at == "/device/auth/verify_code":
		return l.code.take("")
	case r.Method == http.MethodPost && strings.HasPrefix(at, "/auth"):
		// Dex takes the name from the query too.
		name := strings.ToLower(strings.TrimSpace(r.FormValue("login")))
		return l.account.take(name) && l.pair.take(name+"\x00"+source)
	}
	return true
}

// buckets are token buckets by key: so many at once, and one more each time that passes.
type buckets struct {
	burst int
	every time.Duration
	mu    sync.Mutex
	byKey map[string]*rate.Limiter
}

// mostKeys bounds what a guesser can make us remember.
const mostKeys = 10_000

func newBuckets(burst int, every time.Duration) *buckets {
	return &buckets{burst: burst, every: every, byKey: map[string]*rate.Limiter{}}
}

func (b *buckets) take(key string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.byKey[key]
	if one == nil {
		if len(b.byKey) >= mostKeys {
			b.forget()
		}
		one = rate.NewLimiter(rate.Every(b.every), b.burst)
		b.byKey[key] = one
	}
	return one.Allow()
}

// forget drops those that are full again, which is the same as never having been there. Where
// nobody's is, somebody sends thousands of names: then all begin anew but the busiest, whose
// bucket is empty.
func (b *buckets) forget() {
	for key, one := range b.byKey {
		if one.Tokens() >= float64(b.burst) {
			delete(b.byKey, key)
		}
	}
	if len(b.byKey) < mostKeys {
		return
	}
	for key, one := range b.byKey {
		if one.Tokens() >= 1 {
			delete(b.byKey, key)
		}
	}
}
