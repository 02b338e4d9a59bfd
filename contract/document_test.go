package contract

import (
	"fmt"
	"regexp"
	"strings"
)

// fact is what one normative line of the document says, or one row of the table beside
// this test. Open ("-") stands for what the line leaves open.
type fact struct {
	line      int
	role      Role
	section   Kind
	level     string
	protocols string
	ports     string
	peers     string
	condition string
	labels    string
	counts    string
	names     string
}

const open = "-"

func (f fact) String() string {
	return fmt.Sprintf("%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", f.line, f.role, f.section, f.level,
		f.protocols, f.ports, f.peers, f.condition, f.labels, f.counts, f.names)
}

// The words by which the document's lines are understood. Each list is tried in order.
type wording struct {
	pattern *regexp.Regexp
	means   string
}

func words(pairs ...string) (list []wording) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, wording{regexp.MustCompile(pairs[i]), pairs[i+1]})
	}
	return list
}

var (
	roleHeadings = words(`^DNS Setup`, "cluster", `^Master Nodes`, "master", `^Infra Nodes`, "infra", `^Worker Nodes`, "worker")
	sections     = words(`^• Ingress`, "ingress", `^• Egress`, "egress", `^• Access Control`, "access", `^• Cloud-init`, "machine", `^• Network`, "")
	levels       = words(`\b(MUST|must)\b`, "MUST", `\bSHOULD\b`, "SHOULD", `\bMAY\b`, "MAY")
	protocols    = words(`tcp/udp`, "tcp,udp", `\btcp\b`, "tcp", `\(UDP\)`, "udp")
	peers        = words(`from user network`, "user-network", `from masters & workers`, "masters,workers",
		`from masters\b`, "masters", `from all\b`, "all", `to master nodes`, "masters",
		`external etcd cluster`, "external-etcd", `gcr, quay.* docker hub`, "registries")
	conditions = words(`if using node ports`, string(IfNodePortIngress), `when not using external etcd`, string(IfEtcdClientPort),
		`temporary etcd pod if .*etcd operator`, string(IfEtcdSeed), `if using .*etcd operator`, string(IfSelfHostedEtcd),
		`when a load balancer isn't`, string(IfNoLoadBalancer))
	counts = words(`At least one .*3 or 5`, "1,3,5", `0 or more`, "0+", `must be deployed`, open)

	portPattern  = regexp.MustCompile(`\b(\d{2,5})(?:(?:-| to )(\d{2,5}))?\b`)
	labelPattern = regexp.MustCompile(`node-role\.\S+`)
	namePattern  = regexp.MustCompile(`<\S+>`)
)

func first(list []wording, text string) string {
	for _, w := range list {
		if w.pattern.MatchString(text) {
			return w.means
		}
	}
	return open
}

// parseDocument reads the facts of every normative line: a line with MUST, SHOULD or
// MAY (or "must" in prose), a count, or a name of the DNS setup.
func parseDocument(text string) (facts []fact) {
	var role Role
	var section Kind
	for i, raw := range strings.Split(text, "\n") {
		line := strings.ReplaceAll(strings.TrimSpace(raw), "’", "'")
		if heading := first(roleHeadings, line); heading != open {
			role, section = Role(heading), ""
			continue
		}
		if s := first(sections, line); s != open {
			section = Kind(s)
			continue
		}
		f := fact{line: i + 1, role: role, section: section, level: first(levels, line),
			protocols: open, ports: open, peers: open, labels: open, counts: open, names: open,
			condition: first(conditions, line)}
		switch {
		case role == "":
			continue
		case role == Cluster && strings.HasPrefix(line, "•"):
			f.section, f.names = DNS, namePattern.FindString(line)
		case strings.HasPrefix(line, "• Count"), section == "" && strings.Contains(line, "must be deployed"):
			f.section, f.counts = Count, first(counts, line)
		case f.level == open:
			continue
		case section == Ingress || section == Egress:
			f.protocols, f.peers = first(protocols, line), first(peers, line)
			if m := portPattern.FindStringSubmatch(line); m != nil {
				f.ports = strings.TrimSuffix(m[1]+"-"+m[2], "-")
			} else if strings.Contains(line, "all ports") {
				f.ports = "all"
			}
		case section == Machine || section == "" && strings.Contains(line, "on-boot"):
			f.section = Machine
			if label := labelPattern.FindString(line); label != "" {
				f.labels = label
			}
		}
		facts = append(facts, f)
	}
	return facts
}
