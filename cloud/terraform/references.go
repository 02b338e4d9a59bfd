package terraform

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"craton.dev/craton/cloud"
)

// configuration is a resource as it is written, for what a plan does not know yet.
type configuration struct {
	Address     string                     `json:"address"`
	Expressions map[string]json.RawMessage `json:"expressions"`
}

type moduleConfig struct {
	Resources []configuration `json:"resources"`
	Calls     map[string]struct {
		Expressions map[string]json.RawMessage `json:"expressions"`
		Module      moduleConfig               `json:"module"`
	} `json:"module_calls"`
	Outputs map[string]struct {
		Expression json.RawMessage `json:"expression"`
	} `json:"outputs"`
}

// configure indexes a plan's configuration.
func (r *reader) configure(m *moduleConfig, address string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%s: modules are nested more than %d deep", r.file, maxDepth)
	}
	r.modules[address] = m
	for i := range m.Resources {
		r.config[join(address, m.Resources[i].Address)] = &m.Resources[i]
	}
	for name, call := range m.Calls {
		if err := r.configure(&call.Module, join(address, "module."+name), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func join(module, rest string) string {
	if module == "" {
		return rest
	}
	return module + "." + rest
}

// references are what an expression refers to. A list of blocks has several expressions:
// block and key choose one.
func references(raw json.RawMessage) []string {
	var e struct {
		References []string `json:"references"`
	}
	if json.Unmarshal(raw, &e) != nil {
		return nil
	}
	return e.References
}

// follow are the resources that an attribute of one refers to.
func (r *reader) follow(one *resource, attribute string) []*resource {
	if one.config == nil {
		return nil
	}
	return r.resolve(one.module, references(one.config.Expressions[attribute]), map[string]bool{})
}

// resolve finds the resources behind references of a module: directly, through the module's
// variables, or through outputs of modules that it calls. What was asked is asked once, so
// that references in a circle end.
func (r *reader) resolve(module string, refs []string, asked map[string]bool) []*resource {
	var out []*resource
	seen := map[*resource]bool{}
	add := func(list ...*resource) {
		for _, one := range list {
			if !seen[one] {
				seen[one] = true
				out = append(out, one)
			}
		}
	}
	for _, ref := range refs {
		key := module + " " + ref
		if asked[key] {
			continue
		}
		asked[key] = true
		parts := strings.Split(ref, ".")
		switch {
		case len(parts) >= 2 && parts[0] == "var":
			parent, call := parentOf(module)
			if m := r.modules[parent]; m != nil && call != "" {
				add(r.resolve(parent, references(m.Calls[call].Expressions[parts[1]]), asked)...)
			}
		case len(parts) >= 3 && parts[0] == "module":
			inner := join(module, withoutIndices("module."+parts[1]))
			if m := r.modules[inner]; m != nil {
				add(r.resolve(inner, references(m.Outputs[parts[2]].Expression), asked)...)
			}
		case len(parts) >= 2:
			full := join(module, parts[0]+"."+parts[1])
			if one := r.byAddress[full]; one != nil {
				add(one)
			} else if one := r.byAddress[withoutIndices(full)]; one != nil {
				add(one)
			}
		}
	}
	return out
}

// parentOf is the module that calls one, and the call's name.
func parentOf(module string) (parent, call string) {
	i := strings.LastIndex(module, "module.")
	if i < 0 {
		return "", ""
	}
	return strings.TrimSuffix(module[:i], "."), module[i+len("module."):]
}

// group is the name of the group that an attribute names: by its value, where that is
// known, or by what it refers to.
func (r *reader) group(one *resource, attribute, value string) (string, bool) {
	if value != "" {
		if to := r.byID[value]; to != nil {
			return to.Address, true
		}
		return value, true
	}
	for _, to := range r.follow(one, attribute) {
		if isGroup(to.Type) {
			return to.Address, true
		}
	}
	return "", false
}

// groups are the names behind a list.
func (r *reader) groups(one *resource, attribute string, values []string) []string {
	var out []string
	for _, v := range values {
		if name, ok := r.group(one, attribute, v); ok {
			out = append(out, name)
		}
	}
	if len(values) == 0 {
		for _, to := range r.follow(one, attribute) {
			if isGroup(to.Type) {
				out = append(out, to.Address)
			}
		}
	}
	return out
}

// label reads something that only names machines, for the rules of others: by its address, id and some attributes.
func label(attributes ...string) reading {
	return func(r *reader, one *resource) error {
		var v map[string]json.RawMessage
		if err := decode(one, &v); err != nil {
			return err
		}
		names := []string{one.Address}
		for _, a := range append([]string{"id"}, attributes...) {
			var text string
			if json.Unmarshal(v[a], &text) == nil {
				names = append(names, named(text)...)
			}
		}
		r.doc.Groups = append(r.doc.Groups, &cloud.Group{Names: names, Place: r.place(one), Label: true})
		return nil
	}
}

// unknown tells whether an attribute has a value that the plan does not know yet: a plan leaves it out, and
// the configuration refers to something.
func (r *reader) unknown(one *resource, attribute string) bool {
	var v map[string]json.RawMessage
	if one.config == nil || json.Unmarshal(one.Values, &v) != nil {
		return false
	}
	_, there := v[attribute]
	return !there && len(references(one.config.Expressions[attribute])) > 0
}

// labels are the names behind a list of labels: of those that are known, and of those that it refers to.
func (r *reader) labels(one *resource, attribute string, list values) values {
	known, all := list.split()
	var out values
	for _, v := range known {
		name, _ := r.group(one, "", v)
		out = append(out, name)
	}
	if !all || r.unknown(one, attribute) {
		before := len(out)
		for _, to := range r.follow(one, attribute) {
			if isGroup(to.Type) && !slices.Contains(out, to.Address) {
				out = append(out, to.Address)
			}
		}
		if len(out) == before {
			out = append(out, "")
		}
	}
	return out
}

// values are a list of a plan's. An element that is not known yet is null there, which is "" here.
type values []string

// split takes the elements that are not known yet out of a list.
func (v values) split() (known []string, all bool) {
	all = true
	for _, one := range v {
		if one == "" {
			all = false
			continue
		}
		known = append(known, one)
	}
	return known, all
}

// prefixes adds a list of networks to a rule's peers.
func (v values) prefixes(rule *cloud.Rule) error {
	known, all := v.split()
	if !all {
		rule.Peers = append(rule.Peers, cloud.Peer{Unknown: laterNetwork})
	}
	return rule.AddPrefixes(known...)
}

// What a plan does not say before it is applied.
const (
	laterNetwork = "a network that is not known before it is applied"
	laterPeers   = "peers that are not known before it is applied"
	laterPorts   = "ports that are not known before it is applied"
	laterTargets = "which machines it is for is not known before it is applied"
)

// own is the group that a rule belongs to, made where the document does not have it.
func (r *reader) own(one *resource, attribute, value string) *cloud.Group {
	name, ok := r.group(one, attribute, value)
	if !ok {
		r.note(one, "which group it belongs to is not known: %s has no value and refers to no group", attribute)
		return nil
	}
	if g := r.doc.Find(name); g != nil {
		return g
	}
	g := &cloud.Group{Names: []string{name}, Place: r.place(one)}
	r.doc.Groups = append(r.doc.Groups, g)
	return g
}
