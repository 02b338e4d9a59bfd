package cli

import (
	"os"
	"testing"
)

// TestChosenCluster: what removes a cluster takes only one that a person has named, by its name or
// its file, never the only one that there is.
func TestChosenCluster(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("shop.yaml", []byte("name: shop\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		file, name, want string
		code             int
	}{
		{defaultFile, "", "", exitDone},
		{"missing.yaml", "", "", exitDone},
		{"shop.yaml", "", "shop", exitDone},
		{"shop.yaml", "other", "other", exitDone},
		{defaultFile, "..", "", exitUsage},
		{defaultFile, "a/b", "", exitUsage},
		{".", "", "", exitUsage},
	} {
		got, err := chosenCluster(test.file, test.name)
		if got != test.want || exitCode(err) != test.code {
			t.Errorf("--file %s --cluster %q: %q, %v; want %q and exit code %d", test.file, test.name, got, err, test.want, test.code)
		}
	}
}
