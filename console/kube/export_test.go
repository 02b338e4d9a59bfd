package kube

import "testing"

// SetDeep makes a list deep from fewer rows on, till the test ends.
func SetDeep(t *testing.T, rows int) {
	before := deep
	deep = rows
	t.Cleanup(func() { deep = before })
}
