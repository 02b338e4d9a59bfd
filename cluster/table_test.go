package cluster

import (
	"bytes"
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

// The table and the type Cluster have the same fields under the same names, and each
// table entry points to its own field.
func TestTableIsClusterType(t *testing.T) {
	var walk func(typ reflect.Type, all []field, path string)
	walk = func(typ reflect.Type, all []field, path string) {
		inType := map[string]reflect.StructField{}
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			inType[name] = f
		}
		for _, f := range all {
			at := join(path, f.name)
			sf, ok := inType[f.name]
			delete(inType, f.name)
			switch {
			case !ok:
				t.Errorf("%s is in the table but not in %v", at, typ)
				continue
			case f.doc == "":
				t.Errorf("%s has no doc", at)
			case f.kind == section || f.kind == table:
				inner := sf.Type
				if inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
					inner = inner.Elem()
				}
				walk(inner, f.fields, at)
				continue
			case f.standard == nil && f.otherwise == "" && !f.required:
				t.Errorf("%s says nothing on its default", at)
			}
			if got := placed(t, &f); got != at {
				t.Errorf("%s is stored in %s", at, got)
			}
		}
		for name := range inType {
			t.Errorf("%s is in %v but not in the table", join(path, name), typ)
		}
	}
	walk(reflect.TypeFor[Cluster](), fields(), "")
}

// placed is the JSON path that changes in an empty cluster when the field is set.
func placed(t *testing.T, f *field) string {
	t.Helper()
	c := Cluster{Sizes: make([]Size, 1), SignIn: SignIn{
		Roles: make([]Role, 1), Users: make([]User, 1), OIDC: make([]OIDC, 1),
		LDAP: make([]LDAP, 1), GitHub: make([]GitHub, 1), SAML: make([]SAML, 1),
	}}
	switch to := f.at(&c).(type) {
	case *string:
		*to = "set"
	case *int:
		*to = 7
	case *bool:
		*to = true
	case *[]string:
		*to = []string{"set"}
	}
	data, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := json.Unmarshal(data, &tree); err != nil {
		t.Fatal(err)
	}
	var found func(any, string) string
	found = func(v any, path string) string {
		switch v := v.(type) {
		case map[string]any:
			for name, inner := range v {
				if p := found(inner, join(path, name)); p != "" {
					return p
				}
			}
		case []any: // of rows, or of texts
			if _, row := v[0].(map[string]any); row {
				return found(v[0], path)
			}
			return path
		case nil:
		default:
			if !reflect.ValueOf(v).IsZero() {
				return path
			}
		}
		return ""
	}
	return found(tree, "")
}

// The table's defaults and examples are values that the table itself accepts.
func TestTableValuesAreAccepted(t *testing.T) {
	var walk func([]field)
	walk = func(all []field) {
		for _, f := range all {
			walk(f.fields)
			for _, v := range []any{f.standard, f.example} {
				fault := ""
				switch v := v.(type) {
				case string:
					fault, _ = f.text(v)
				case int:
					fault, _ = f.number(v)
				case []string:
					for _, item := range v {
						if fault, _ = f.check(item); fault != "" {
							break
						}
					}
				}
				if fault != "" {
					t.Errorf("%s: %v: %s", f.name, v, fault)
				}
			}
		}
	}
	walk(fields())
}

// What craton init writes: valid as it is, without its comments, and with every default
// taken out of its comment, and the same cluster each time: that of a file with nothing but a name,
// and what a new file begins with, by which people sign in and see the cluster.
func TestTemplate(t *testing.T) {
	template := Template("demo")
	begun := Default("demo")
	begun.Options.SignIn, begun.Options.Console, begun.Options.Ingress = true, true, true
	for name, file := range map[string][]byte{
		"as it is":         template,
		"without comments": regexp.MustCompile(`(?m)^#.*\n`).ReplaceAll(template, nil),
		"defaults set":     regexp.MustCompile(`(?m)^#((?:  )?\w)`).ReplaceAll(template, []byte("$1")),
	} {
		c, err := Parse("template.yaml", file)
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, file)
			continue
		}
		if d := cmp.Diff(begun, c); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	// The third case above says nothing unless it really sets the defaults.
	set := regexp.MustCompile(`(?m)^#((?:  )?\w)`).ReplaceAll(template, []byte("$1"))
	var tree map[string]any
	if err := yaml.Unmarshal(set, &tree); err != nil {
		t.Fatal(err)
	}
	for _, f := range fields() {
		if _, ok := tree[f.name]; !ok && f.standard != nil {
			t.Errorf("the template has no default for %s", f.name)
		}
	}
	if options, _ := tree["options"].(map[string]any); len(options) != len(optionFields()) {
		t.Errorf("the template has the options %v", options)
	}
	for i, line := range strings.Split(string(template), "\n") {
		if len(line) > 100 && !strings.Contains(line, "ssh-ed25519") {
			t.Errorf("line %d has %d characters", i+1, len(line))
		}
	}
}

// The template's examples work when they are taken out of their comments.
func TestTemplateExamples(t *testing.T) {
	example := regexp.MustCompile(`(?m)^#     `)
	file := example.ReplaceAll(Template("demo"), nil)
	file = append(file, "etcd: external\n"...)
	c, err := Parse("template.yaml", file)
	if err != nil {
		t.Fatalf("%v\n%s", err, file)
	}
	if c.ExternalEtcd == nil || len(c.SSHKeys) != 1 || len(c.Resolvers) != 1 || c.Versions.Kubernetes == "" || !c.SchedulableMasters {
		t.Errorf("examples are missing: %s", c.Canonical())
	}
}

// The reference names every field, and its last block is the canonical default file.
func TestReference(t *testing.T) {
	page := Reference()
	var walk func([]field)
	walk = func(all []field) {
		for _, f := range all {
			if !bytes.Contains(page, []byte("| `"+f.name+"` |")) {
				t.Errorf("%s is missing", f.name)
			}
			walk(f.fields)
		}
	}
	walk(fields())
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(page, -1)
	if len(blocks) != 2 {
		t.Fatalf("%d blocks of YAML, want 2", len(blocks))
	}
	for _, block := range blocks {
		c, err := Parse("reference", block[1])
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(Default("demo"), c); d != "" {
			t.Error(d)
		}
	}
	for i, line := range strings.Split(string(page), "\n") {
		if strings.HasPrefix(line, "|") && strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") != 6 {
			t.Errorf("line %d is not a row of five cells: %s", i+1, line)
		}
	}
}
