package cluster

import "encoding/json"

// Schema is the JSON Schema (draft 2020-12) of a cluster file. It covers the file's form;
// what needs arithmetic (overlaps, room for machines) only Parse checks. A file that Parse
// accepts is accepted by the schema.
func Schema() []byte {
	schema := sectionSchema(fields())
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["$id"] = "https://craton.dev/schema/v1alpha1/cluster.json"
	schema["title"] = "craton cluster file"
	schema["allOf"] = schemaRelations()
	data, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		panic(err) // The values are maps, texts and numbers of this package.
	}
	return append(data, '\n')
}

// schemaRelations are the relations of fields that a schema can tell; relations.go has the
// same ones.
func schemaRelations() []any {
	is := func(name string, value any) map[string]any {
		return map[string]any{
			"properties": map[string]any{name: map[string]any{"const": value}},
			"required":   []any{name},
		}
	}
	return []any{
		map[string]any{
			"if":   is("etcd", "external"),
			"then": map[string]any{"required": []any{"externalEtcd"}},
			"else": map[string]any{"properties": map[string]any{"externalEtcd": false}},
		},
		map[string]any{
			"if":   map[string]any{"required": []any{"signIn"}},
			"then": map[string]any{"properties": map[string]any{"options": is("signIn", true)}, "required": []any{"options"}},
		},
		map[string]any{
			"if":   map[string]any{"properties": map[string]any{"options": is("prometheus", true)}, "required": []any{"options"}},
			"then": map[string]any{"properties": map[string]any{"options": is("nodeExporter", true)}},
		},
		map[string]any{
			"if": is("loadBalancer", false),
			"then": map[string]any{
				"properties": map[string]any{"infra": map[string]any{"minimum": 1}},
				"required":   []any{"infra"},
			},
		},
		map[string]any{
			"if":   is("workers", 0),
			"then": map[string]any{"properties": map[string]any{"schedulableMasters": map[string]any{"const": true}}},
		},
	}
}

func sectionSchema(all []field) map[string]any {
	properties := map[string]any{}
	required := []any{}
	for _, f := range all {
		properties[f.name] = fieldSchema(&f)
		if f.required {
			required = append(required, f.name)
		}
	}
	schema := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}

func fieldSchema(f *field) map[string]any {
	var schema map[string]any
	switch f.kind {
	case section:
		schema = sectionSchema(f.fields)
	case table:
		schema = map[string]any{"type": "array", "items": sectionSchema(f.fields)}
	case boolean:
		schema = map[string]any{"type": "boolean"}
	case number:
		schema = map[string]any{"type": "integer"}
		if len(f.enum) == 0 {
			schema["minimum"] = f.least
		}
		if f.most > 0 {
			schema["maximum"] = f.most
		}
	case list:
		schema = map[string]any{"type": "array", "uniqueItems": true,
			"items": map[string]any{"type": "string", "pattern": f.pattern}}
		if f.required {
			schema["minItems"] = 1
		}
		if f.mostItems > 0 {
			schema["maxItems"] = f.mostItems
		}
	default:
		schema = map[string]any{"type": "string"}
		if f.pattern != "" {
			schema["pattern"] = f.pattern
		}
	}
	if len(f.enum) > 0 {
		schema["enum"] = f.enum
	}
	if f.standard != nil {
		schema["default"] = f.standard
	}
	schema["description"] = f.meaning()
	return schema
}
