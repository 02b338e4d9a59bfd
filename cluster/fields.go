package cluster

import "fmt"

// kind is a field's type in the file.
type kind int

const (
	text kind = iota
	number
	boolean
	list // of text
	section
	table // a list of sections
)

// field is one field of the cluster file. The parser, the template, the JSON Schema, the
// canonical output and the reference are all made from these values, so that they cannot
// say different things.
type field struct {
	name string
	kind kind
	// doc says what the field is for, in whole sentences.
	doc string
	// standard is the default; nil where there is none or it depends on other fields.
	standard any
	// otherwise says in words what holds where the field is left out and standard is nil.
	otherwise string
	// accepts says in words what is accepted, where enum doesn't.
	accepts string
	// enum holds the accepted values of a text or number.
	enum []any
	// least is the smallest number, most the largest (0: no limit).
	least, most int
	// pattern is what the JSON Schema asks of a text or of a list's items. It must accept
	// all that check accepts.
	pattern string
	// mostItems limits a list (0: no limit).
	mostItems int
	required  bool
	// example is a value for the template where there is no default.
	example any
	// begun is the value with which a new file begins, where that is not the default.
	begun any
	// check judges a text, or each item of a list: the fault ("" if none) and a hint.
	check func(string) (fault, hint string)
	// explain replaces the usual message for a number outside enum.
	explain func(int) (fault, hint string)
	fields  []field
	// at points into the cluster: *string, *int, *bool or *[]string. For a section that may
	// be absent, present says whether it is there. A table has rows instead.
	at      func(*Cluster) any
	present func(*Cluster) bool
	rows    *rows
}

const (
	labelPattern  = `^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	octet         = `(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])`
	addrPattern   = `^(` + octet + `\.){3}` + octet + `$`
	prefixPattern = `^(` + octet + `\.){3}` + octet + `/(3[0-2]|[12]?[0-9])$`
)

// fields are all fields of a cluster file, in the order in which it is written. It is
// made anew on each call because KubernetesVersions may be set by others.
func fields() []field {
	return []field{
		{name: "apiVersion", standard: APIVersion, enum: values(APIVersion),
			doc: "Version of this file's format.",
			at:  func(c *Cluster) any { return &c.APIVersion }},
		{name: "kind", standard: Kind, enum: values(Kind),
			doc: "What this file describes.",
			at:  func(c *Cluster) any { return &c.Kind }},
		{name: "name", required: true, check: checkName, pattern: labelPattern, example: "demo",
			doc:     "Name of the cluster. Machines are called <name>-<role>-<number>, the API <name>-k8s.<subdomain>, the console <name>.<subdomain>.",
			accepts: "a DNS label: lower-case letters, digits and dashes, at most 59 characters",
			at:      func(c *Cluster) any { return &c.Name }},
		{name: "subdomain", standard: "cluster.test", check: checkSubdomain,
			pattern: `^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`,
			doc:     "DNS domain in which the cluster's names are.",
			accepts: "a DNS name in lower case, without the dot at the end",
			at:      func(c *Cluster) any { return &c.Subdomain }},

		{name: "masters", kind: number, standard: 1, enum: values(1, 3, 5), explain: explainMasters,
			doc: "Number of machines that run the control plane and etcd. 3 survive the loss of one, 5 of two.",
			at:  func(c *Cluster) any { return &c.Masters }},
		{name: "workers", kind: number, standard: 1,
			doc:     "Number of machines that run the users' applications.",
			accepts: "0 or more; machineNetwork and podNetwork must have room",
			at:      func(c *Cluster) any { return &c.Workers }},
		{name: "infra", kind: number, standard: 0, most: MostInfra,
			doc:     "Number of machines that only let traffic in. At least 1 where there is no load balancer.",
			accepts: fmt.Sprintf("0 to %d", MostInfra),
			at:      func(c *Cluster) any { return &c.Infra }},
		{name: "sizes", kind: table, otherwise: "machines are as large as the platform makes them; the embedded one lets them use all of the host",
			doc:    "How large each machine of a role is. The embedded platform holds its machines to it. craton plan warns where a machine has no more than was seen not to be enough.",
			rows:   rowsOf("role", func(c *Cluster) *[]Size { return &c.Sizes }),
			fields: sizeFields()},
		{name: "loadBalancer", kind: boolean, standard: true,
			doc: "Whether the surroundings have a load balancer in front of the API and the ingress.",
			at:  func(c *Cluster) any { return &c.LoadBalancer }},
		{name: "schedulableMasters", kind: boolean, otherwise: "true where workers is 0, false elsewhere", example: true,
			doc: "Whether masters are workers as well and run users' applications.",
			at:  func(c *Cluster) any { return &c.SchedulableMasters }},

		{name: "profile", standard: "document", enum: values("document", "minimal"),
			doc: "Which ports are open. document: what the platform document's MUST and SHOULD clauses name, and a MAY clause where this file turns on what it is for. minimal: only what the enabled components use.",
			at:  func(c *Cluster) any { return &c.Profile }},
		{name: "platform", standard: "local", enum: values("local"),
			doc: "Where machines come from. local: systemd machines on this host, in a network of their own.",
			at:  func(c *Cluster) any { return &c.Platform }},
		{name: "firstBoot", standard: "ignition", enum: values("ignition", "cloud-init"),
			doc: "Format of the configuration that a machine applies to itself at first boot.",
			at:  func(c *Cluster) any { return &c.FirstBoot }},
		{name: "ingress", otherwise: "nodePort with a load balancer, hostPort without one", enum: values("nodePort", "hostPort"), example: "nodePort",
			doc: "How traffic reaches the ingress controller. nodePort: on the node ports of the platform document, behind a load balancer. hostPort: on the ordinary ports of the machines that run it, which are the infra machines or else the workers.",
			at:  func(c *Cluster) any { return &c.Ingress }},

		{name: "ingressCertificate", kind: section, otherwise: "absent: the cluster's own authority issues one",
			doc:     "A certificate of yours for the console's name, which browsers then trust as they trust its authority.",
			present: func(c *Cluster) bool { return c.IngressCertificate != nil },
			fields:  ingressCertificateFields()},

		{name: "userNetwork", standard: "10.0.0.0/24", check: checkNetwork(0, 32), pattern: prefixPattern,
			doc:     "Where the users' kubectl, browsers and ssh come from.",
			accepts: "an IPv4 network that overlaps none of the others",
			at:      func(c *Cluster) any { return &c.UserNetwork }},
		{name: "machineNetwork", standard: "10.32.0.0/16", check: checkNetwork(8, 28), pattern: prefixPattern,
			doc:     "Network of the machines. Its first addresses are kept for the surroundings (resolver, load balancer, registry), workers begin 256 addresses after its base.",
			accepts: "an IPv4 network, /8 to /28",
			at:      func(c *Cluster) any { return &c.MachineNetwork }},
		{name: "podNetwork", standard: "10.64.0.0/11", check: checkNetwork(8, PodPrefixBits), pattern: prefixPattern,
			doc:     "Network of the pods. Each machine gets a /24 of it.",
			accepts: "an IPv4 network, /8 to /24",
			at:      func(c *Cluster) any { return &c.PodNetwork }},
		{name: "serviceNetwork", standard: "10.96.0.0/16", check: checkNetwork(12, 27), pattern: prefixPattern,
			doc:     "Network of the services' own addresses.",
			accepts: "an IPv4 network, /12 to /27",
			at:      func(c *Cluster) any { return &c.ServiceNetwork }},
		{name: "apiPort", kind: number, standard: 443, least: 1, most: 65535,
			doc:     "Port of the API, on masters and on the load balancer. With 443 a worker needs no opening outwards but the one for images.",
			accepts: "1 to 65535",
			at:      func(c *Cluster) any { return &c.APIPort }},

		{name: "etcd", standard: "internal", enum: values("internal", "external", "selfHosted"),
			doc: "Where etcd runs. internal: on the masters. external: a cluster that you already have, see externalEtcd. selfHosted: as ordinary pods on the masters, which craton's operator makes and keeps.",
			at:  func(c *Cluster) any { return &c.Etcd }},
		{name: "externalEtcd", kind: section, otherwise: "absent; required exactly where etcd is external",
			doc:     "The etcd cluster that you already have.",
			present: func(c *Cluster) bool { return c.ExternalEtcd != nil },
			fields:  externalEtcdFields()},

		{name: "registries", kind: list, otherwise: "images may come from any address", check: checkRegistry, pattern: prefixPattern,
			doc:     "Networks that images may come from. It narrows the machines' way outwards to these.",
			accepts: "IPv4 networks",
			example: []string{"198.51.100.0/24"},
			at:      func(c *Cluster) any { return &c.Registries }},
		{name: "resolvers", kind: list, otherwise: "the platform's own", check: checkAddress, pattern: addrPattern, mostItems: 3,
			doc:     "DNS servers of the machines.",
			accepts: "at most 3 IPv4 addresses (a resolver reads no more)",
			example: []string{"192.0.2.53"},
			at:      func(c *Cluster) any { return &c.Resolvers }},
		{name: "timeServers", kind: list, otherwise: "none: machines do not keep a clock of their own", check: checkAddress, pattern: addrPattern,
			doc:     "NTP servers, where machines keep their own clock.",
			accepts: "IPv4 addresses",
			example: []string{"192.0.2.123"},
			at:      func(c *Cluster) any { return &c.TimeServers }},
		{name: "sshKeys", kind: list, otherwise: "nobody can log in over ssh", check: checkSSHKey,
			pattern: `^(ssh|ecdsa|sk)-[-a-z0-9@.]+[ \t]+[A-Za-z0-9+/]+={0,2}([ \t].*)?$`,
			doc:     "Public keys that may log in over ssh as the user core.",
			accepts: "lines of an authorized_keys file, without options",
			example: []string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f you@example"},
			at:      func(c *Cluster) any { return &c.SSHKeys }},

		{name: "options", kind: section, otherwise: "all off",
			doc:     "Parts that are off unless turned on here. Each opens the ports that it needs and no others. A new file begins with those by which people sign in and look at the cluster.",
			present: func(*Cluster) bool { return true },
			fields:  optionFields()},
		{name: "signIn", kind: section, otherwise: "the first administrator, where options.signIn is on",
			doc:     "Who may sign in with a name and a password, rather than with the administrator's certificate, and what they may do. See docs/sign-in.md.",
			present: func(c *Cluster) bool { return c.Options.SignIn },
			fields:  signInFields()},
		{name: "versions", kind: section, otherwise: "what this craton was built with",
			doc:     "Versions of components.",
			present: func(c *Cluster) bool { return c.Versions != Versions{} },
			fields: []field{
				{name: "kubernetes", otherwise: "the version that this craton was built with", enum: values(KubernetesVersions...),
					doc:     "Version of Kubernetes.",
					example: KubernetesVersions[0],
					at:      func(c *Cluster) any { return &c.Versions.Kubernetes }},
			}},
	}
}

func sizeFields() []field {
	amount := func(name, doc, accepts string, least, most, example int, at func(*Size) *int) field {
		return field{name: name, kind: number, otherwise: "what the platform gives", least: least, most: most, accepts: accepts, example: example,
			doc: doc, at: func(c *Cluster) any { return at(&c.Sizes[0]) }}
	}
	return []field{
		{name: "role", required: true, enum: values("master", "infra", "worker"), example: "worker",
			doc: "The role whose machines are meant.",
			at:  func(c *Cluster) any { return &c.Sizes[0].Role }},
		amount("memoryMiB", "Memory for all that runs on the machine, in MiB.", "64 to 1048576", 64, 1<<20, 4096,
			func(s *Size) *int { return &s.MemoryMiB }),
		amount("milliCPU", "Processor time, in thousandths of a processor.", "10 to 1000000", 10, 1000000, 2000,
			func(s *Size) *int { return &s.MilliCPU }),
		amount("diskMiB", "The machine's disk, with its operating system, in MiB.", "1024 to 16777216", 1024, 1<<24, 20480,
			func(s *Size) *int { return &s.DiskMiB }),
	}
}

// where says which paths are accepted.
const where = "an absolute path, or one from the folder of the cluster file"

func ingressCertificateFields() []field {
	own := func(c *Cluster) *IngressCertificate {
		if c.IngressCertificate == nil {
			c.IngressCertificate = &IngressCertificate{}
		}
		return c.IngressCertificate
	}
	return []field{
		{name: "certFile", required: true, check: checkFile, pattern: `\S`, accepts: where, example: "console.crt",
			doc: "The certificate and those between it and its authority, PEM. It has to name <name>.<subdomain>.",
			at:  func(c *Cluster) any { return &own(c).CertFile }},
		{name: "keyFile", required: true, check: checkFile, pattern: `\S`, accepts: where, example: "console.key",
			doc: "Its key, PEM.",
			at:  func(c *Cluster) any { return &own(c).KeyFile }},
	}
}

func externalEtcdFields() []field {
	// A section in the file becomes a value here on its first field.
	external := func(c *Cluster) *ExternalEtcd {
		if c.ExternalEtcd == nil {
			c.ExternalEtcd = &ExternalEtcd{}
		}
		return c.ExternalEtcd
	}
	return []field{
		{name: "endpoints", kind: list, required: true, check: checkEndpoint,
			pattern: `^https://(` + octet + `\.){3}` + octet + `:[0-9]{1,5}$`,
			doc:     "Addresses of its members.",
			accepts: "one or more of https://ADDRESS:PORT, with an IPv4 address (the firewall opens the way to it)",
			example: []string{"https://192.0.2.10:2379"},
			at:      func(c *Cluster) any { return &external(c).Endpoints }},
		{name: "caFile", required: true, check: checkFile, pattern: `\S`, accepts: where, example: "etcd-ca.crt",
			doc: "Certificate of the authority that signed the members' certificates, PEM.",
			at:  func(c *Cluster) any { return &external(c).CAFile }},
		{name: "certFile", required: true, check: checkFile, pattern: `\S`, accepts: where, example: "etcd-client.crt",
			doc: "Certificate with which the API server shows itself to etcd, PEM.",
			at:  func(c *Cluster) any { return &external(c).CertFile }},
		{name: "keyFile", required: true, check: checkFile, pattern: `\S`, accepts: where, example: "etcd-client.key",
			doc: "Key of certFile, PEM.",
			at:  func(c *Cluster) any { return &external(c).KeyFile }},
	}
}

func optionFields() []field {
	option := func(name, doc string, at func(*Options) *bool) field {
		return field{name: name, kind: boolean, standard: false, doc: doc,
			at: func(c *Cluster) any { return at(&c.Options) }}
	}
	begun := func(f field) field { f.begun = true; return f }
	return []field{
		option("nodePortRange", "Open the whole node port range on masters too.",
			func(o *Options) *bool { return &o.NodePortRange }),
		option("readOnlyPort", "Serve the read-only status port of masters' kubelets, to everybody.",
			func(o *Options) *bool { return &o.ReadOnlyPort }),
		option("etcdClientPort", "Open etcd's client port on masters to other masters. On by itself with several masters.",
			func(o *Options) *bool { return &o.EtcdClientPort }),
		option("infraTaint", "Keep users' applications off infra machines by a taint.",
			func(o *Options) *bool { return &o.InfraTaint }),
		option("nodeExporter", "Serve the metrics of masters and workers, by the Prometheus node exporter on each, to both.",
			func(o *Options) *bool { return &o.NodeExporter }),
		option("cAdvisor", "Serve the metrics of workers' containers, by a cAdvisor on each, to masters.",
			func(o *Options) *bool { return &o.CAdvisor }),
		option("metricsServer", "Run the metrics server: kubectl top, and scaling by what pods use.",
			func(o *Options) *bool { return &o.MetricsServer }),
		option("prometheus", "Run Prometheus on a master, with alerts on what an operator must know. It reads what the node exporter serves, so nodeExporter has to be on too.",
			func(o *Options) *bool { return &o.Prometheus }),
		begun(option("signIn", "Let people sign in with a name and a password, or where their company has them, see signIn.",
			func(o *Options) *bool { return &o.SignIn })),
		begun(option("console", "Run the Console, a page that shows the cluster to people who sign in. It needs signIn. See docs/console.md.",
			func(o *Options) *bool { return &o.Console })),
		begun(option("ingress", "Run an ingress controller, which lets users in to the console, to Dex and to their own applications. The field ingress says by which ports. See docs/ingress.md.",
			func(o *Options) *bool { return &o.Ingress })),
		option("gateway", "Have the ingress serve Gateway objects too, and define their kinds. It needs ingress.",
			func(o *Options) *bool { return &o.Gateway }),
	}
}

func values[T any](v ...T) []any {
	all := make([]any, len(v))
	for i, one := range v {
		all[i] = one
	}
	return all
}
