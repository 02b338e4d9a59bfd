package minimum

// Bounds of what is tried. Most is what a search gives up at.
type bounds struct {
	first, step, most int
}

// next is the value to try next, given which ones were tried and whether all worked with them; or
// the least that works, where nothing is left to try between it and one that does not. It looks at
// nothing else, so a search goes on wherever it was stopped.
//
// A value that fails above one that works is taken for bad luck.
func next(tried map[int]bool, b bounds) (value int, done bool) {
	works, fails := 0, 0
	for v, ok := range tried {
		if ok && (works == 0 || v < works) {
			works = v
		}
	}
	for v, ok := range tried {
		if !ok && v > fails && (works == 0 || v < works) {
			fails = v
		}
	}
	switch {
	case works == 0 && fails == 0:
		return b.first, false
	case works == 0 && fails >= b.most:
		return 0, true
	case works == 0:
		return min(2*fails, b.most), false
	case works-fails <= b.step:
		return works, true
	}
	// Halfway, in whole steps: nearer to what fails where it cannot be just half.
	return fails + max(b.step, (works-fails)/2/b.step*b.step), false
}
