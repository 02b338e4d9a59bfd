package plan

import (
	"encoding/json"
	"io"

	"sigs.k8s.io/yaml"
)

// WriteJSON writes the plan as indented JSON. Its shape is stable for a given apiVersion.
func WriteJSON(w io.Writer, p *Plan) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(p)
}

// WriteYAML writes what WriteJSON writes, as YAML.
func WriteYAML(w io.Writer, p *Plan) error {
	out, err := yaml.Marshal(p)
	if err != nil {
		return err
	}
	_, err = w.Write(out)
	return err
}
