package cluster

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// Each kind of fault is reported once, at its exact place, with words that tell what is
// wrong. The first line of each file is "name: x" unless the case begins with "=".
func TestParseFaults(t *testing.T) {
	name := func(n int) string { return strings.Repeat("a", n) }
	for _, c := range []struct{ file, at, path, says string }{
		// The file as a whole.
		{"=", "1:1", "", "is empty"},
		{"=# only a comment\n", "1:1", "", "is empty"},
		{"=---\n# nothing\n", "", "", "is empty"},
		{"=just text", "1:1", "", `found the text "just text", expected fields`},
		{"=- name: x", "1:1", "", "found a list, expected fields"},
		{"=name: x\n--- \nname: y", "2:1", "", "a second document begins here"},
		{"=name: x\n...\n---\n[", "", "", "is not valid YAML"},
		{"=name: x\nmasters: [1", "", "", "is not valid YAML"},
		{"=name: x\n\tmasters: 1", "2:1", "", "is not valid YAML"},
		{"=name: x\nmasters: \x00", "2:10", "", "byte 0x00"},
		{"=# é\xff", "1:4", "", "byte 0xff"},
		{"=" + strings.Repeat("#", largest+1), "1:1", "", "is larger than"},

		// Fields.
		{"=masters: 1", "1:1", "name", "; it has no default"},
		{"workerz: 3", "2:1", "workerz", "did you mean workers?"},
		{"machinenetwork: 10.32.0.0/16", "2:1", "machinenetwork", "did you mean machineNetwork?"},
		{"color: red", "2:1", "color", "the fields are apiVersion, kind, name"},
		{"readOnlyPort: true", "2:1", "readOnlyPort", "it belongs under options"},
		{"options:\n  nodeport: true", "3:3", "options.nodeport", "did you mean nodePortRange?"},
		{"options: {masters: 3}", "2:11", "options.masters", "it belongs to the file's top level"},
		{"\"a b\": 1", "2:1", `"a b"`, "is not a field"},
		{"? [a]\n: 1", "2:3", "", "found a list where a field's name is expected"},
		{"masters: 1\nmasters: 3", "3:1", "masters", "is given twice, first in line 2"},
		{"options:\n  cAdvisor: true\n  cAdvisor: true", "4:3", "options.cAdvisor", "is given twice, first in line 3"},
		{"etcd:", "2:1", "etcd", "has no value, expected internal, external or selfHosted"},
		{"resolvers: ~", "2:1", "resolvers", "has no value"},
		{"options:", "2:1", "options", "has no value"},

		// What YAML has and a cluster file does not use.
		{"subdomain: &a b.test", "2:12", "subdomain", "anchors (&a) are not used"},
		{"options: &a {}", "2:10", "options", "anchors (&a) are not used"},
		{"=&a {name: x}", "1:1", "", "anchors (&a) are not used"},
		{"subdomain: *a", "2:12", "", "aliases (*a) are not used"},
		{"<<: {masters: 1}", "2:1", "", "merge keys (<<) are not used"},
		{"masters: !!int 1", "2:10", "masters", "tags (\"!!int\") are not used"},
		{"options: !x {}", "2:10", "options", "tags (\"!x\") are not used"},
		{"resolvers: [!!str 192.0.2.1]", "2:13", "resolvers[0]", "tags (\"!!str\") are not used"},

		// Types.
		{"=name: 5", "1:7", "name", "found the number 5"},
		{"=name: true", "1:7", "name", "put it in quotes if you mean the text \"true\""},
		{"=name: 2020-01-01", "1:7", "name", "found the date 2020-01-01"},
		{"masters: '3'", "2:10", "masters", "leave the quotes out"},
		{"masters: {}", "2:10", "masters", "found a section with fields, expected 1, 3 or 5"},
		{"workers: two", "2:10", "workers", `found the text "two", expected a number`},
		{"workers: 2.0", "2:10", "workers", "found the number 2.0, expected a number"},
		{"workers: 010", "2:10", "workers", "is not a plain decimal number"},
		{"workers: 0x10", "2:10", "workers", "is not a plain decimal number"},
		{"workers: 99999999999", "2:10", "workers", "is out of range"},
		{"loadBalancer: yes", "2:15", "loadBalancer", "expected true or false; write true"},
		{"loadBalancer: 0", "2:15", "loadBalancer", "write false"},
		{"options: [cAdvisor]", "2:10", "options", "found a list, expected a section with fields; its fields are nodePortRange"},
		{"resolvers: 192.0.2.53", "2:12", "resolvers", "expected a list"},
		{"resolvers: [53]", "2:13", "resolvers[0]", "found the number 53, expected text"},
		{"resolvers: [[]]", "2:13", "resolvers[0]", "found a list, expected text"},

		// Numbers and words.
		{"masters: 2", "2:10", "masters", "the loss of either stops the cluster"},
		{"masters: 4", "2:10", "masters", "4 masters are no safer than 3"},
		{"masters: 0", "2:10", "masters", "0 masters, expected 1, 3 or 5"},
		{"masters: 7", "2:10", "masters", "7 masters, expected 1, 3 or 5"},
		{"masters: -1", "2:10", "masters", "-1 masters, expected 1, 3 or 5"},
		{"workers: -1", "2:10", "workers", "-1 is too small"},
		{"infra: 212", "2:8", "infra", "212 is too large, expected 0 to 211"},
		{"apiPort: 0", "2:10", "apiPort", "0 is too small"},
		{"apiPort: 65536", "2:10", "apiPort", "65536 is too large"},
		{"profile: Minimal", "2:10", "profile", "did you mean minimal?"},
		{"platform: aws", "2:11", "platform", `found "aws", expected local`},
		{"etcd: selfhosted", "2:7", "etcd", "did you mean selfHosted?"},
		{"ingress: nodePorts", "2:10", "ingress", "did you mean nodePort?"},
		{"firstBoot: cloudinit", "2:12", "firstBoot", "did you mean cloud-init?"},
		{"apiVersion: v1", "2:13", "apiVersion", "expected craton.dev/v1alpha1"},
		{"kind: Pod", "2:7", "kind", "expected Cluster"},
		{"versions: {kubernetes: v1.36.2}", "2:24", "versions.kubernetes", "expected v1.37.2"},

		// Names.
		{"=name: ''", "1:7", "name", "is empty"},
		{"=name: Demo", "1:7", "name", `"Demo" is not a DNS label`},
		{"=name: -a", "1:7", "name", `"-a" is not a DNS label`},
		{"=name: a.b", "1:7", "name", `"a.b" is not a DNS label`},
		{"=name: " + name(60), "1:7", "name", "has 60 characters, expected at most 59"},
		{"=name: " + name(55), "1:7", "name", "-master-1 would have a name of 64 characters"},
		{"=name: " + name(53) + "\nworkers: 1000", "1:7", "name", "-worker-1000 would have a name of 65 characters"},
		{"subdomain: ''", "2:12", "subdomain", "is not a DNS name"},
		{"subdomain: a..b", "2:12", "subdomain", "is not a DNS name"},
		{"subdomain: a.test.", "2:12", "subdomain", "is not a DNS name"},
		{"subdomain: A.test", "2:12", "subdomain", "is not a DNS name"},
		{"subdomain: 10.0.0.1", "2:12", "subdomain", "its last label has digits only"},
		{"subdomain: " + strings.Repeat("a.", 126) + "aa", "2:12", "subdomain", "has 254 characters"},
		{"subdomain: " + strings.Repeat("a.", 125) + "a", "2:12", "subdomain", "the API's name would have 257 characters"},

		// Networks.
		{"userNetwork: 10.0.0.0", "2:14", "userNetwork", "write 10.0.0.0/32"},
		{"userNetwork: office", "2:14", "userNetwork", "is not an IPv4 network"},
		{"userNetwork: 10.0.0.1/24", "2:14", "userNetwork", "write 10.0.0.0/24"},
		{"userNetwork: fd00::/8", "2:14", "userNetwork", "is IPv6"},
		{"userNetwork: \"::1\"", "2:14", "userNetwork", "is IPv6"},
		{"userNetwork: \"::ffff:10.0.0.0/104\"", "2:14", "userNetwork", "IPv"},
		{"userNetwork: 127.0.0.0/8", "2:14", "userNetwork", "is for loopback"},
		{"userNetwork: 224.0.0.0/24", "2:14", "userNetwork", "is for multicast"},
		{"machineNetwork: 10.32.0.0/29", "2:17", "machineNetwork", "expected /8 to /28"},
		{"podNetwork: 10.64.0.0/25", "2:13", "podNetwork", "expected /8 to /24"},
		{"serviceNetwork: 172.32.0.0/11", "2:17", "serviceNetwork", "expected /12 to /27"},

		// Each pair of networks, and which of the two is named where.
		{"userNetwork: 10.32.1.0/24", "2:14", "userNetwork", "overlaps machineNetwork 10.32.0.0/16 (the default)"},
		{"userNetwork: 10.64.0.0/24", "2:14", "userNetwork", "overlaps podNetwork 10.64.0.0/11 (the default)"},
		{"userNetwork: 10.96.9.0/24", "2:14", "userNetwork", "overlaps serviceNetwork 10.96.0.0/16 (the default)"},
		{"machineNetwork: 10.64.0.0/16", "2:17", "machineNetwork", "overlaps podNetwork"},
		{"machineNetwork: 10.96.0.0/17", "2:17", "machineNetwork", "overlaps serviceNetwork"},
		{"podNetwork: 10.96.0.0/12", "2:13", "podNetwork", "overlaps serviceNetwork"},
		{"podNetwork: 172.16.0.0/16\nserviceNetwork: 172.16.0.0/20", "3:17", "serviceNetwork", "overlaps podNetwork 172.16.0.0/16 (line 2)"},
		{"serviceNetwork: 172.16.0.0/20\npodNetwork: 172.16.0.0/16", "3:13", "podNetwork", "overlaps serviceNetwork 172.16.0.0/20 (line 2)"},

		// Room.
		{"machineNetwork: 10.32.0.0/24", "2:17", "machineNetwork", "1 workers are more than machineNetwork 10.32.0.0/24 has addresses for, which is 0"},
		{"workers: 256\nmachineNetwork: 10.32.0.0/23", "2:10", "workers", "256 workers are more than machineNetwork 10.32.0.0/23 has addresses for, which is 255"},
		{"workers: 5000\nmachineNetwork: 10.32.0.0/20", "2:10", "workers", "a machineNetwork of /19 or larger"},
		{"infra: 12\nworkers: 0\nmachineNetwork: 10.32.0.0/27", "2:8", "infra", "which is 11"},
		{"workers: 8192", "2:10", "workers", "podNetwork 10.64.0.0/11 has a /24 for 8192 machines, and there are 8193"},
		{"workers: 2\npodNetwork: 10.64.0.0/23", "3:13", "podNetwork", "use fewer machines, or a podNetwork of /22 or larger"},

		// Who lets users in, and where applications run.
		{"loadBalancer: false", "2:15", "loadBalancer", "neither a load balancer nor an infra machine"},
		{"loadBalancer: false\ninfra: 0", "3:8", "infra", "neither a load balancer nor an infra machine"},
		{"workers: 0\nschedulableMasters: false", "3:21", "schedulableMasters", "no machine would run applications"},

		{"ingressCertificate: {certFile: a, keyFile: b}", "2:21", "ingressCertificate", "but options.ingress is off"},
		{"options: {ingress: true}\ningressCertificate: {certFile: a}", "3:21", "ingressCertificate.keyFile", "is missing"},

		// etcd.
		{"etcd: external", "2:7", "externalEtcd", "is missing, and etcd is external"},
		{external("https://192.0.2.1:2379", "etcd: internal"), "4:3", "externalEtcd", "but etcd is internal"},
		{"etcd: external\nexternalEtcd: {endpoints: ['https://192.0.2.1:1'], caFile: a, certFile: b}", "3:15", "externalEtcd.keyFile", "is missing"},
		{"etcd: external\nexternalEtcd: {endpoints: [], caFile: a, certFile: b, keyFile: c}", "3:27", "externalEtcd.endpoints", "is empty"},
		{"etcd: external\nexternalEtcd: {endpoints: ['https://192.0.2.1:1'], caFile: ' ', certFile: b, keyFile: c}", "3:60", "externalEtcd.caFile", "names no file"},
		{"etcd: external\nexternalEtcd: {endpoints: ['https://192.0.2.1:1'], caFile: \"a\\nb\", certFile: b, keyFile: c}", "3:60", "externalEtcd.caFile", "cannot be seen"},
		{external("http://192.0.2.1:2379", ""), "4:15", "externalEtcd.endpoints[0]", "is not https"},
		{external("192.0.2.1:2379", ""), "4:15", "externalEtcd.endpoints[0]", "is not a URL"},
		{external("https://192.0.2.1", ""), "4:15", "externalEtcd.endpoints[0]", "has no port"},
		{external("https://192.0.2.1:0", ""), "4:15", "externalEtcd.endpoints[0]", "has no port between 1 and 65535"},
		{external("https://192.0.2.1:02379", ""), "4:15", "externalEtcd.endpoints[0]", "has no port"},
		{external("https://192.0.2.1:65536", ""), "4:15", "externalEtcd.endpoints[0]", "has no port"},
		{external("https://192.0.2.1:2379/", ""), "4:15", "externalEtcd.endpoints[0]", "more than an address and a port"},
		{external("https://u:p@192.0.2.1:2379", ""), "4:15", "externalEtcd.endpoints[0]", "more than an address and a port"},
		{external("https://etcd.example:2379", ""), "4:15", "externalEtcd.endpoints[0]", "is not an IPv4 address"},
		{external("https://[2001:db8::1]:2379", ""), "4:15", "externalEtcd.endpoints[0]", "is IPv6"},

		// Lists of addresses and keys.
		{"registries: [192.0.2.1]", "2:14", "registries[0]", "write 192.0.2.1/32"},
		{"registries: [192.0.2.0/24, 192.0.2.0/24]", "2:28", "registries[1]", "is in the list twice"},
		{"resolvers: [dns.example]", "2:13", "resolvers[0]", "is not an IPv4 address"},
		{"resolvers: [127.0.0.53]", "2:13", "resolvers[0]", "no address that a machine can reach"},
		{"resolvers: [192.0.2.1, 192.0.2.2, 192.0.2.3, 192.0.2.4]", "2:12", "resolvers", "has 4 items, expected at most 3"},
		{"timeServers:\n- 2001:db8::1", "3:3", "timeServers[0]", "is IPv6"},
		{"sshKeys: ['']", "2:11", "sshKeys[0]", "is not a line of an authorized_keys file"},
		{"sshKeys: [ssh-dss AAAA]", "2:11", "sshKeys[0]", "does not start with a key type that is accepted"},
		{"sshKeys: ['from=\"a\" ssh-ed25519 AAAA']", "2:11", "sshKeys[0]", "options before the key are not accepted"},
		{"sshKeys: [ssh-ed25519]", "2:11", "sshKeys[0]", "has a type but no key"},
		{"sshKeys: [ssh-ed25519 AAA]", "2:11", "sshKeys[0]", "is not base64"},
		{"sshKeys: [ssh-ed25519 AAAA]", "2:11", "sshKeys[0]", "is cut off"},
		{"sshKeys: [ssh-ed25519 " + base64.StdEncoding.EncodeToString([]byte("\x00\x00\x00\x07ssh-rsa\x00")) + "]", "2:11", "sshKeys[0]", "is not of the type ssh-ed25519"},
		{"sshKeys: [\"ssh-ed25519 AAAA\\nssh-ed25519 AAAA\"]", "2:11", "sshKeys[0]", "has several lines"},
		{"sshKeys:\n- |\n  -----BEGIN OPENSSH PRIVATE KEY-----\n  c2VjcmV0", "3:3", "sshKeys[0]", "is a private key"},
	} {
		checkFault(t, c.file, c.at, c.path, c.says)
	}
}

// checkFault asks for exactly one error: at a place, about a field, with some words.
func checkFault(t *testing.T, file, at, path, says string) {
	t.Helper()
	file, whole := strings.CutPrefix(file, "=")
	if !whole {
		file = "name: x\n" + file
	}
	_, err := Parse("c.yaml", []byte(file))
	var all Errors
	if !errors.As(err, &all) {
		t.Errorf("%.200q: error is %v", file, err)
		return
	}
	if len(all) != 1 {
		t.Errorf("%.200q: %d errors, want one:\n%v", file, len(all), err)
		return
	}
	got := fmt.Sprintf("%d:%d", all[0].Line, all[0].Column)
	if at != "" && got != at || all[0].Path != path || !strings.Contains(all[0].Error(), says) {
		t.Errorf("%.200q: got\n  %v\nwant %s: %s: …%s…", file, all[0], at, path, says)
	}
	if strings.Contains(err.Error(), "c2VjcmV0") {
		t.Errorf("the error shows a private key: %v", err)
	}
}

// external is a file's tail with one etcd endpoint, in block style.
func external(endpoint, etcd string) string {
	if etcd == "" {
		etcd = "etcd: external"
	}
	return etcd + "\nexternalEtcd:\n  endpoints: ['" + endpoint + "']\n  caFile: a\n  certFile: b\n  keyFile: c"
}

// Values at the edge of what is accepted are accepted.
func TestParseEdges(t *testing.T) {
	for _, file := range []string{
		"name: " + strings.Repeat("a", 54), // -master-1 makes it 63
		"name: '1'",
		"name: x\nsubdomain: test",
		"name: x\nworkers: 255\nmachineNetwork: 10.32.0.0/23",
		"name: x\ninfra: 11\nworkers: 0\nmachineNetwork: 10.32.0.0/27",
		"name: x\nmasters: 5\nworkers: 0\nmachineNetwork: 10.32.0.0/28",
		"name: x\ninfra: 211",
		"name: x\nworkers: 8191",
		"name: x\nworkers: 3\npodNetwork: 10.64.0.0/22",
		"name: x\nuserNetwork: 10.33.0.0/32",
		"name: x\napiPort: 65535",
		"name: x\nloadBalancer: false\ninfra: 1",
		"name: x\nresolvers: []",
		"name: x\noptions: {}",
		"\ufeffname: x",
		`{"name": "x", "masters": 3}`,
		"---\nname: x\n...\n",
	} {
		if _, err := Parse("c.yaml", []byte(file)); err != nil {
			t.Errorf("%q: %v", file, err)
		}
	}
}
