//go:build ignore

// Command strip prints the definitions of Gateway API's kinds in a folder as JSON, one a line,
// without what they say to people: a twentieth of their size. scripts/gateway-definitions runs it.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"
)

func main() {
	files, err := filepath.Glob(filepath.Join(os.Args[1], "*.yaml"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s: there are no definitions", os.Args[1])
	}
	for _, file := range files {
		if err == nil {
			err = write(file)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "strip:", err)
		os.Exit(1)
	}
}

func write(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var definition map[string]any
	if err := yaml.Unmarshal(text, &definition); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	delete(definition, "status")
	return json.NewEncoder(os.Stdout).Encode(strip(definition))
}

// strip leaves out descriptions. A field that is called so has a schema, which is no text.
func strip(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			if _, text := inner.(string); key == "description" && text {
				delete(v, key)
				continue
			}
			v[key] = strip(inner)
		}
	case []any:
		for i, inner := range v {
			v[i] = strip(inner)
		}
	}
	return value
}
