package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Whatever a file holds, Parse returns: either errors that each have a position, or a
// cluster that can be written and read again and that the schema accepts.
func FuzzParse(f *testing.F) {
	paths, _ := filepath.Glob("../examples/*.yaml")
	for _, path := range append(paths, "testdata/many.yaml") {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add(Template("demo"))
	f.Add(Default("demo").Canonical())
	f.Add([]byte("name: x\nsshKeys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f you]"))
	f.Add([]byte("? &a [*a, <<: !x {}]\n: |-\n  x\n---\n..."))
	schema := compiledSchema(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("f.yaml", data)
		if err != nil {
			var all Errors
			if !errors.As(err, &all) || len(all) == 0 || c != nil {
				t.Fatalf("returned %v and %#v", c, err)
			}
			for _, e := range all {
				if e.Line < 1 || e.Column < 1 || e.File != "f.yaml" || e.Message == "" {
					t.Fatalf("no position or text: %#v", e)
				}
			}
			return
		}
		file := c.Canonical()
		again, err := Parse("again.yaml", file)
		if err != nil {
			t.Fatalf("the canonical form is refused: %v\n%s", err, file)
		}
		if d := cmp.Diff(c, again); d != "" {
			t.Fatalf("the canonical form is another cluster: %s\n%s", d, file)
		}
		if err := schemaSays(schema, data); err != nil {
			t.Fatalf("the schema refuses it: %v\n%q", err, data)
		}
	})
}
