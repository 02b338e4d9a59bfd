package cluster

import (
	"bytes"
	"fmt"

	"gopkg.in/yaml.v3"
)

var _ yaml.Marshaler = Cluster{}

// MarshalYAML makes the canonical form: every field that has a value, in the table's order.
// Parsing it gives the same cluster.
func (c Cluster) MarshalYAML() (any, error) {
	return canonical(&c, fields())
}

// Canonical is the cluster as a file with all defaults filled in. It panics only on text
// that is not UTF-8, which no parsed cluster has.
func (c *Cluster) Canonical() []byte {
	node, err := canonical(c, fields())
	if err != nil {
		panic(err)
	}
	return encode(node)
}

func canonical(c *Cluster, all []field) (*yaml.Node, error) {
	top := &yaml.Node{Kind: yaml.MappingNode}
	for _, f := range all {
		value := &yaml.Node{}
		switch {
		case f.kind == section && !f.present(c):
			continue
		case f.kind == table:
			if f.rows.count(c) == 0 {
				continue
			}
			value.Kind = yaml.SequenceNode
			for i := range f.rows.count(c) {
				row, err := canonical(f.rows.view(c, i), f.fields)
				if err != nil {
					return nil, err
				}
				value.Content = append(value.Content, row)
			}
		case f.kind == section:
			var err error
			if value, err = canonical(c, f.fields); err != nil {
				return nil, err
			}
		default:
			v := f.value(c)
			if s, ok := v.(string); ok && s == "" && !f.required {
				continue
			}
			if n, ok := v.(int); ok && n == 0 && f.standard == nil && !f.required {
				continue
			}
			if l, ok := v.([]string); ok && len(l) == 0 {
				continue
			}
			if err := value.Encode(v); err != nil {
				return nil, fmt.Errorf("%s: %w", f.name, err)
			}
		}
		top.Content = append(top.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: f.name}, value)
	}
	return top, nil
}

// value is the field's value in a cluster.
func (f *field) value(c *Cluster) any {
	switch from := f.at(c).(type) {
	case *string:
		return *from
	case *int:
		return *from
	case *bool:
		return *from
	case *[]string:
		return *from
	}
	return nil
}

func encode(v any) []byte {
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	// Values here are nodes and plain values, which always encode.
	if err := encoder.Encode(v); err != nil {
		panic(err)
	}
	encoder.Close()
	return b.Bytes()
}
