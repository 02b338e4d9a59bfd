package metrics

import (
	"strings"
	"testing"
)

// TestWrite protects those who read the format: names, help and type once a family, sorted
// samples, whole numbers as such, and nothing in a label that ends it early.
func TestWrite(t *testing.T) {
	var b strings.Builder
	if err := Write(&b, []Family{
		{Name: "a_total", Help: "what\nit is", Kind: Counter, Samples: []Sample{
			{map[string]string{"clause": "b"}, 1 << 40},
			{map[string]string{"clause": `a"\` + "\n", "about": "x"}, 0.5},
		}},
		{Name: "none", Help: "nothing", Kind: Gauge},
		{Name: "b", Help: "one", Kind: Gauge, Samples: []Sample{{nil, 1795912098}}},
	}); err != nil {
		t.Fatal(err)
	}
	const want = `# HELP a_total what\nit is
# TYPE a_total counter
a_total{about="x",clause="a\"\\\n"} 0.5
a_total{clause="b"} 1.099511627776e+12
# HELP b one
# TYPE b gauge
b 1.795912098e+09
`
	if got := b.String(); got != want {
		t.Errorf("got:\n%s\nexpected:\n%s", got, want)
	}
}
