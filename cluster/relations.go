package cluster

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// relations checks what fields mean together. A relation with a field that is already
// known to be wrong is left out.
func (r *reader) relations() {
	r.names()
	r.capacity()
	r.overlaps()
	r.etcd()
	r.signIn()
	r.ingress()
	r.console()
	c := r.cluster
	if r.fine("options.prometheus", "options.nodeExporter") && c.Options.Prometheus && !c.Options.NodeExporter {
		r.relate(r.place("options.prometheus"), "options.prometheus", "Prometheus has no metrics of machines to read without the node exporter",
			"set options.nodeExporter to true as well")
	}
	if r.fine("infra", "loadBalancer") && c.Infra == 0 && !c.LoadBalancer {
		r.relate(r.place("infra", "loadBalancer"), r.given("infra", "loadBalancer"),
			"there is neither a load balancer nor an infra machine, so nothing lets users in",
			"set infra to 1 or more, or loadBalancer to true")
	}
	if r.fine("schedulableMasters", "workers") && c.Workers == 0 && !c.SchedulableMasters {
		r.relate(r.place("schedulableMasters", "workers"), "schedulableMasters",
			"no machine would run applications: there are no workers and masters are not schedulable",
			"leave schedulableMasters out, or set workers to 1 or more")
	}
}

// names checks the names that are made from the cluster's name.
func (r *reader) names() {
	c := r.cluster
	if !r.fine("name") {
		return
	}
	for _, role := range []struct {
		name, field string
		count       int
	}{{"master", "masters", c.Masters}, {"infra", "infra", c.Infra}, {"worker", "workers", c.Workers}} {
		if !r.fine(role.field) || role.count == 0 {
			continue
		}
		if name := MachineName(c.Name, role.name, role.count); len(name) > 63 {
			r.relate(r.place("name"), "name", fmt.Sprintf("the machine %s would have a name of %d characters, at most 63 fit a DNS label", name, len(name)),
				fmt.Sprintf("shorten the cluster's name by %d", len(name)-63))
			return
		}
	}
	if api := c.Name + "-k8s." + c.Subdomain; r.fine("subdomain") && len(api) > 253 {
		r.relate(r.place("subdomain", "name"), "subdomain", fmt.Sprintf("the API's name would have %d characters, a DNS name at most 253", len(api)), "use a shorter subdomain")
	}
}

// capacity checks that the networks have room for the machines.
func (r *reader) capacity() {
	c := r.cluster
	if r.fine("machineNetwork") {
		network := netip.MustParsePrefix(c.MachineNetwork)
		for _, role := range []struct {
			field       string
			count       int
			first, last int
		}{{"infra", c.Infra, FirstInfra, LastInfra}, {"workers", c.Workers, FirstWorker, 1 << 32}} {
			if have := room(network, role.first, role.last); r.fine(role.field) && role.count > have {
				r.relate(r.place(role.field, "machineNetwork"), r.given(role.field, "machineNetwork"),
					fmt.Sprintf("%d %s are more than machineNetwork %s has addresses for, which is %d (they begin %d after its base)", role.count, role.field, network, have, role.first),
					fmt.Sprintf("use fewer, or a machineNetwork of /%d or larger", bitsFor(role.first+role.count-1)))
			}
		}
	}
	if !r.fine("podNetwork", "masters", "infra", "workers") {
		return
	}
	network := netip.MustParsePrefix(c.PodNetwork)
	machines := c.Masters + c.Infra + c.Workers
	if have := 1 << (PodPrefixBits - network.Bits()); machines > have {
		hint := "use fewer machines"
		if bits := podBitsFor(machines); bits >= 8 {
			hint += fmt.Sprintf(", or a podNetwork of /%d or larger", bits)
		}
		r.relate(r.place("podNetwork", "workers", "infra", "masters"), r.given("podNetwork", "workers", "infra", "masters"),
			fmt.Sprintf("podNetwork %s has a /%d for %d machines, and there are %d", network, PodPrefixBits, have, machines), hint)
	}
}

// overlaps checks each pair of networks.
func (r *reader) overlaps() {
	c := r.cluster
	networks := []struct{ field, prefix string }{
		{"userNetwork", c.UserNetwork}, {"machineNetwork", c.MachineNetwork},
		{"podNetwork", c.PodNetwork}, {"serviceNetwork", c.ServiceNetwork},
	}
	networks = slices.DeleteFunc(networks, func(n struct{ field, prefix string }) bool { return !r.fine(n.field) })
	for i, a := range networks {
		for _, b := range networks[i+1:] {
			if !netip.MustParsePrefix(a.prefix).Overlaps(netip.MustParsePrefix(b.prefix)) {
				continue
			}
			// The fault stands where the later of the two is written.
			at, other := b, a
			if r.seen[b.field] == nil || r.seen[a.field] != nil && before(r.seen[b.field], r.seen[a.field]) {
				at, other = a, b
			}
			where := "the default"
			if n := r.seen[other.field]; n != nil {
				where = fmt.Sprintf("line %d", n.Line)
			}
			r.relate(r.seen[at.field], at.field,
				fmt.Sprintf("%s overlaps %s %s (%s)", at.prefix, other.field, other.prefix, where),
				"give each network addresses of its own")
		}
	}
}

// etcd checks that externalEtcd is there exactly where it is meant.
func (r *reader) etcd() {
	c := r.cluster
	if !r.fine("etcd") {
		return
	}
	section := r.seen["externalEtcd"]
	switch {
	case c.Etcd == "external" && section == nil:
		r.relate(r.seen["etcd"], "externalEtcd", "is missing, and etcd is external",
			"add externalEtcd with "+strings.Join(names(externalEtcdFields()), ", "))
	case c.Etcd != "external" && section != nil:
		r.relate(section, "externalEtcd", fmt.Sprintf("is given, but etcd is %s", c.Etcd), "set etcd: external, or leave externalEtcd out")
	}
}

// signIn checks that each place has an id of its own, and that roles are given to groups of
// places that there are.
func (r *reader) signIn() {
	c := r.cluster
	section := r.seen["signIn"]
	if section != nil && !c.Options.SignIn && r.fine("options", "options.signIn") {
		r.relate(section, "signIn", "is given, but options.signIn is off", "set options.signIn: true, or leave signIn out")
	}
	if c.Options.SignIn && r.fine("signIn", "signIn.firstAdministrator", "signIn.users", "signIn.oidc", "signIn.ldap", "signIn.github", "signIn.saml") &&
		!c.SignIn.FirstAdministrator && len(c.SignIn.Users)+len(c.SignIn.Connectors()) == 0 {
		r.relate(r.place("signIn.firstAdministrator"), "signIn.firstAdministrator",
			"nobody could sign in: there is no user and no other place to sign in at",
			"add users, or one of oidc, ldap, github and saml, or leave firstAdministrator out")
	}
	lists := []struct {
		field string
		count int
	}{{"oidc", len(c.SignIn.OIDC)}, {"ldap", len(c.SignIn.LDAP)}, {"github", len(c.SignIn.GitHub)}, {"saml", len(c.SignIn.SAML)}}
	lines := map[string]int{}
	whole := true
	for _, l := range lists {
		for i := range l.count {
			at := fmt.Sprintf("signIn.%s[%d].id", l.field, i)
			node := r.seen[at]
			if node == nil || r.bad[at] {
				whole = false
				continue
			}
			if line, again := lines[node.Value]; again {
				r.relate(node, at, fmt.Sprintf("is the id of another place too, in line %d", line), "give each an id of its own")
			}
			lines[node.Value] = node.Line
		}
	}
	places := append([]string{LocalUsers}, c.SignIn.Connectors()...)
	for i, role := range c.SignIn.Roles {
		at := fmt.Sprintf("signIn.roles[%d].group", i)
		where, _, _ := strings.Cut(role.Group, ":")
		if node := r.seen[at]; whole && node != nil && !r.bad[at] && !slices.Contains(places, where) {
			r.relate(node, at, fmt.Sprintf("there is no place %s to sign in at", quote(where)), "there is "+or(places))
		}
	}
	for i, l := range c.SignIn.LDAP {
		for _, pair := range []struct{ has, needs, field, other string }{
			{l.BindDN, l.BindPasswordFile, "bindDN", "bindPasswordFile"}, {l.BindPasswordFile, l.BindDN, "bindPasswordFile", "bindDN"},
		} {
			at := fmt.Sprintf("signIn.ldap[%d].", i)
			if pair.has != "" && pair.needs == "" && r.fine(at+pair.other) {
				r.relate(r.seen[at+pair.field], at+pair.field, "is given without "+pair.other, "give both or none")
			}
		}
	}
}

// console checks that people can get into the Console.
func (r *reader) console() {
	if o := r.cluster.Options; o.Console && !o.SignIn && r.fine("options", "options.console", "options.signIn") {
		r.relate(r.place("options.console"), "options.console", "is on, but options.signIn is off: nobody could sign in to the Console", "turn both on or both off")
	}
}

// ingress checks that there is a place for the ingress controller, and a way to it.
func (r *reader) ingress() {
	c := r.cluster
	if c.Options.Gateway && !c.Options.Ingress && r.fine("options", "options.gateway", "options.ingress") {
		r.relate(r.place("options.gateway"), "options.gateway", "is on, but options.ingress is off: nobody would serve Gateway objects", "turn both on or both off")
	}
	if section := r.seen["ingressCertificate"]; section != nil && !c.Options.Ingress && r.fine("options", "options.ingress") {
		r.relate(section, "ingressCertificate", "is given, but options.ingress is off", "set options.ingress: true, or leave ingressCertificate out")
	}
	if !c.Options.Ingress || !r.fine("options", "options.ingress", "ingress", "loadBalancer", "infra", "workers") {
		return
	}
	switch {
	case c.Ingress == "nodePort" && !c.LoadBalancer:
		r.relate(r.place("ingress", "loadBalancer", "options.ingress"), r.given("ingress", "loadBalancer", "options.ingress"),
			"is nodePort, and without a load balancer nothing leads from the ports that browsers know to node ports",
			"set ingress: hostPort, or loadBalancer to true")
	case c.Ingress == "hostPort" && c.Infra == 0 && c.Workers == 0:
		r.relate(r.place("ingress", "options.ingress"), r.given("ingress", "options.ingress"),
			"is hostPort, and there is neither an infra machine nor a worker that could run it",
			"set infra or workers to 1 or more, or ingress: nodePort")
	}
}

// fine says that none of the fields is known to be wrong.
func (r *reader) fine(paths ...string) bool {
	return !slices.ContainsFunc(paths, func(p string) bool { return r.bad[p] })
}

// relate reports a fault of a relation. It leaves the fields usable for other relations:
// a network can be both too small and in another's way.
func (r *reader) relate(at *yaml.Node, path, message, hint string) {
	r.failAt(at.Line, at.Column, path, message, hint)
}

// given is the first of the fields that the file gives, where a fault is shown: the
// defaults get along, so one of them is.
func (r *reader) given(paths ...string) string {
	for _, p := range paths {
		if r.seen[p] != nil {
			return p
		}
	}
	return paths[0]
}

// place is the node of the field that given names.
func (r *reader) place(paths ...string) *yaml.Node {
	return r.seen[r.given(paths...)]
}

func before(a, b *yaml.Node) bool {
	return a.Line < b.Line || a.Line == b.Line && a.Column < b.Column
}
