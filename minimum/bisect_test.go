package minimum

import (
	"testing"

	"pgregory.net/rapid"
)

func TestNext(t *testing.T) {
	b := bounds{first: 1024, step: 64, most: 8192}
	for _, test := range []struct {
		name  string
		tried map[int]bool
		value int
		done  bool
	}{
		{"nothing is tried", nil, 1024, false},
		{"the first works", map[int]bool{1024: true}, 512, false},
		{"the first fails", map[int]bool{1024: false}, 2048, false},
		{"not more than the most", map[int]bool{6000: false}, 8192, false},
		{"between", map[int]bool{1024: true, 512: false}, 768, false},
		{"found", map[int]bool{1024: true, 512: false, 768: true, 640: false, 704: true}, 704, true},
		{"one step is the least", map[int]bool{64: true}, 64, true},
		{"nothing works", map[int]bool{8192: false}, 0, true},
		{"bad luck above what works", map[int]bool{1024: false, 512: true, 448: false}, 512, true},
	} {
		if value, done := next(test.tried, b); value != test.value || done != test.done {
			t.Errorf("%s: %d, %v; want %d, %v", test.name, value, done, test.value, test.done)
		}
	}
}

// Whatever is needed, a search finds it to within a step, in few tries, and never tries a value twice:
// each try is minutes on a real cluster.
func TestNextFindsTheLeast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := bounds{step: rapid.IntRange(1, 128).Draw(t, "step"), most: 1 << 14}
		b.first = b.step * rapid.IntRange(1, 32).Draw(t, "first")
		need := rapid.IntRange(1, b.most).Draw(t, "need")
		tried := map[int]bool{}
		for range 2 * 15 {
			value, done := next(tried, b)
			if done {
				if value < need || value-need >= b.step {
					t.Fatalf("needs %d, found %d", need, value)
				}
				return
			}
			if _, again := tried[value]; again || value < 1 || value > b.most {
				t.Fatalf("tries %d, tried are %v", value, tried)
			}
			tried[value] = value >= need
		}
		t.Fatalf("no end: %v", tried)
	})
}
