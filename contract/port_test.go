package contract

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Both sides of each boundary.
func TestParsePortRange(t *testing.T) {
	for text, want := range map[string]PortRange{
		"1": {1, 1}, "22": {22, 22}, "65535": {65535, 65535},
		"1-2": {1, 2}, "30000-32767": {30000, 32767}, "5-5": {5, 5}, "1-65534": {1, 65534},
		"all": {1, 65535}, "1-65535": {1, 65535},
	} {
		if got, err := ParsePortRange(text); err != nil || got != want {
			t.Errorf("%q: %v, %v; expected %v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"":        "is not a port",
		"0":       "is not a port",
		"65536":   "is not a port",
		"-1":      "is not a port",
		"+22":     "is not a port",
		"022":     "is not a port",
		" 22":     "is not a port",
		"22-":     "is not a port",
		"1-2-3":   "is not a port",
		"ssh":     `"ssh" is not a port: expected 1 to 65535, or "all"`,
		"ALL":     "is not a port",
		"any":     "is not a port",
		"0-10":    "is not a port",
		"443-442": "it ends before it starts; write 442-443",
	} {
		if got, err := ParsePortRange(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; expected an error with %q", text, got, err, want)
		}
	}
}

// JSON has ports as text, and refuses what is no port with the reason.
func TestPortRangeJSON(t *testing.T) {
	var ranges []PortRange
	if err := json.Unmarshal([]byte(`["22","2379-2380","all"]`), &ranges); err != nil {
		t.Fatal(err)
	}
	if text, err := json.Marshal(ranges); err != nil || string(text) != `["22","2379-2380","all"]` {
		t.Errorf("%s, %v", text, err)
	}
	for _, text := range []string{`["https"]`, `["0"]`, `["70000"]`, `[22]`, `[{"First":1,"Last":2}]`} {
		if err := json.Unmarshal([]byte(text), &ranges); err == nil {
			t.Errorf("%s: expected an error", text)
		} else if strings.HasPrefix(text, `["`) && !strings.Contains(err.Error(), "expected 1 to 65535") {
			t.Errorf("%s: %v doesn't say what was expected", text, err)
		}
	}
	for _, r := range []PortRange{{}, {0, 5}, {5, 4}} {
		if text, err := json.Marshal(r); err == nil {
			t.Errorf("%v was written as %s", r, text)
		}
	}
}

// Any range comes back from its text, and contains exactly the ports between its ends.
func TestPortRangeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.Uint16Min(1).Draw(t, "first")
		r := PortRange{first, rapid.Uint16Min(first).Draw(t, "last")}
		text, err := r.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back PortRange
		if err := back.UnmarshalText(text); err != nil || back != r {
			t.Fatalf("%s came back as %v, %v", text, back, err)
		}
		port := rapid.Uint16().Draw(t, "port")
		if r.Contains(port) != (port >= r.First && port <= r.Last) {
			t.Fatalf("%s contains %d: %v", r, port, r.Contains(port))
		}
		if !r.Contains(r.First) || !r.Contains(r.Last) || r.Contains(r.First-1) || r.Last < 65535 && r.Contains(r.Last+1) {
			t.Fatalf("%s has wrong ends", r)
		}
	})
}

// No text makes the parser panic or give a range that can't be written.
func FuzzParsePortRange(f *testing.F) {
	for _, seed := range []string{"22", "1-2", "all", "", "-", "0-0", "99999999999999999999", "1-", "+1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParsePortRange(text)
		if err != nil {
			return
		}
		written, err := r.MarshalText()
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if back, err := ParsePortRange(string(written)); err != nil || back != r {
			t.Fatalf("%q: %v came back as %v, %v", text, r, back, err)
		}
	})
}
