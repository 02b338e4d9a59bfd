// Package terraform reads plans and states of Terraform and OpenTofu, as "terraform show
// -json" prints them and as state files hold them, and finds the security groups of AWS,
// Azure, Google and OpenStack in them.
//
// In a plan, ids are not known yet: references between resources are followed through the
// plan's configuration, modules included. A resource about the network whose type is not
// known here becomes a note. It runs no program and asks no cloud.
package terraform

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"craton.dev/craton/cloud"
	"craton.dev/craton/filter"
)

// resource is one instance of a resource.
type resource struct {
	Address string          `json:"address"`
	Type    string          `json:"type"`
	Mode    string          `json:"mode"`
	Values  json.RawMessage `json:"values"`

	module string // the address of the module it is in, without indices
	config *configuration
}

type module struct {
	Resources []resource `json:"resources"`
	Children  []module   `json:"child_modules"`
}

type document struct {
	Values *struct {
		Root module `json:"root_module"`
	} `json:"values"`
	Planned *struct {
		Root module `json:"root_module"`
	} `json:"planned_values"`
	Configuration *struct {
		Root moduleConfig `json:"root_module"`
	} `json:"configuration"`
	// A state file has them so.
	Version   int             `json:"version"`
	Resources []stateResource `json:"resources"`
}

type stateResource struct {
	Module, Mode, Type, Name string
	Instances                []struct {
		IndexKey   any             `json:"index_key"`
		Attributes json.RawMessage `json:"attributes"`
	} `json:"instances"`
}

// maxDepth is how deep modules may be nested, and references followed.
const maxDepth = 32

// Read reads a plan or a state. An error names the file and line, or the resource, and what
// was expected.
func Read(file string, data []byte) (*cloud.Document, error) {
	var d document
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, cloud.At(file, data, err)
	}
	r := &reader{file: file, doc: &cloud.Document{}, config: map[string]*configuration{}, modules: map[string]*moduleConfig{}}
	if d.Configuration != nil {
		if err := r.configure(&d.Configuration.Root, "", 0); err != nil {
			return nil, err
		}
	}
	var err error
	switch {
	case d.Planned != nil:
		err = r.module(d.Planned.Root, 0)
	case d.Values != nil:
		err = r.module(d.Values.Root, 0)
	case d.Version > 0:
		r.state(d.Resources)
	default:
		err = errors.New(`expected "planned_values", "values" or, of a state file, "version" and "resources"`)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return r.doc, r.build()
}

// reader collects a document.
type reader struct {
	file      string
	doc       *cloud.Document
	resources []*resource
	config    map[string]*configuration // by address without indices
	modules   map[string]*moduleConfig  // by address without indices
	byAddress map[string]*resource      // with and without indices
	byID      map[string]*resource
	lists     map[*resource][]string // prefix lists that are known whole
}

func (r *reader) module(m module, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("modules are nested more than %d deep", maxDepth)
	}
	for i := range m.Resources {
		if m.Resources[i].Mode == "data" {
			continue
		}
		r.add(&m.Resources[i])
	}
	for _, c := range m.Children {
		if err := r.module(c, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) add(one *resource) {
	plain := withoutIndices(one.Address)
	one.module, _ = cutResource(plain)
	one.config = r.config[plain]
	r.resources = append(r.resources, one)
}

// state reads a state file's resources.
func (r *reader) state(list []stateResource) {
	for _, s := range list {
		if s.Mode == "data" {
			continue
		}
		for _, i := range s.Instances {
			address := s.Type + "." + s.Name
			if s.Module != "" {
				address = s.Module + "." + address
			}
			switch key := i.IndexKey.(type) {
			case string:
				address += fmt.Sprintf("[%q]", key)
			case float64:
				address += fmt.Sprintf("[%d]", int(key))
			}
			r.add(&resource{Address: address, Type: s.Type, Values: i.Attributes})
		}
	}
}

// withoutIndices is an address without [0] and ["key"].
func withoutIndices(address string) string {
	var b strings.Builder
	for i := 0; i < len(address); i++ {
		if address[i] != '[' {
			b.WriteByte(address[i])
			continue
		}
		quoted := false
		for ; i < len(address) && (quoted || address[i] != ']'); i++ {
			if address[i] == '\\' && quoted {
				i++
			} else if address[i] == '"' {
				quoted = !quoted
			}
		}
	}
	return b.String()
}

// cutResource cuts "module.a.module.b.type.name" into its module and the rest.
func cutResource(address string) (module, rest string) {
	parts := strings.Split(address, ".")
	n := 0
	for n+1 < len(parts) && parts[n] == "module" {
		n += 2
	}
	return strings.Join(parts[:n], "."), strings.Join(parts[n:], ".")
}

// related are types that have to do with who reaches whom, of these providers or of others: such a one that is not
// known is worth a note.
var related = regexp.MustCompile(`(^|_)(firewall|fw|security_group|secgroup|network_security|network_acl|networkfirewall|security_list|organization_security|network_manager_security)(_|$)`)

// NetworkPolicies says why Kubernetes' network policies are left out.
const NetworkPolicies = "Kubernetes' network policies are about pods and say nothing of machines' ports"

// build makes the document's groups.
func (r *reader) build() error {
	r.byAddress, r.byID = map[string]*resource{}, map[string]*resource{}
	for _, one := range r.resources {
		r.byAddress[one.Address] = one
		if plain := withoutIndices(one.Address); r.byAddress[plain] == nil {
			r.byAddress[plain] = one
		}
		var id struct {
			ID any `json:"id"`
		}
		if json.Unmarshal(one.Values, &id) == nil {
			if s, ok := id.ID.(string); ok && s != "" {
				r.byID[s] = one
			}
		}
	}
	known := map[string]bool{}
	// Groups come before the rules that belong to them.
	for _, types := range []map[string]reading{groupTypes(), ruleTypes()} {
		for kind := range types {
			known[kind] = true
		}
		for _, one := range r.resources {
			if f := types[one.Type]; f != nil {
				if err := f(r, one); err != nil {
					return fmt.Errorf("%s: %s: %w", r.file, one.Address, err)
				}
			}
		}
	}
	for _, one := range r.resources {
		if strings.HasPrefix(one.Type, "kubernetes_network_policy") {
			r.doc.LeftOut = append(r.doc.LeftOut, r.place(one).String()+" is left out: "+NetworkPolicies)
			continue
		}
		if known[one.Type] {
			continue
		}
		if related.MatchString(one.Type) {
			r.note(one, "resources of type %s are not understood", one.Type)
		}
	}
	if len(r.doc.Groups) == 0 {
		var types []string
		for _, n := range r.doc.Notes {
			types = append(types, n.Place.Name)
		}
		if len(types) > 0 {
			return fmt.Errorf("%s: there are no security groups or firewall rules in it that are understood, but %s: expected those of AWS, Azure, Google or OpenStack", r.file, strings.Join(types[:min(len(types), 8)], ", "))
		}
		return fmt.Errorf("%s: there are no security groups or firewall rules in it", r.file)
	}
	return nil
}

func (r *reader) place(one *resource) filter.Place {
	return filter.Place{File: r.file, Name: one.Address}
}

func (r *reader) note(one *resource, format string, args ...any) {
	r.doc.Notes = append(r.doc.Notes, filter.Note{Place: r.place(one), Text: fmt.Sprintf(format, args...)})
}

// decode reads a resource's values into a struct. Of unknown values there is nothing.
func decode(one *resource, into any) error {
	if len(one.Values) == 0 {
		return nil
	}
	if err := json.Unmarshal(one.Values, into); err != nil {
		if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return fmt.Errorf("%s is a %s: expected %s", kind.Field, kind.Value, kind.Type)
		}
		return err
	}
	return nil
}
