package prometheus

import (
	"net"
	"net/netip"
	"slices"
	"strconv"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/part"
	"craton.dev/craton/render/part/cadvisor"
	"craton.dev/craton/render/part/nodeexporter"
)

// clauseKubelet has the kubelet's port, the same on every machine.
const clauseKubelet = "worker.ingress.kubelet"

// serviceAccount is the folder of what a pod shows the API and kubelets who it is by, and what
// it knows them by.
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount/"

// job is a kind of target: which of its metrics are kept, by their names, and how it is asked.
type job struct {
	name    string
	port    int
	roles   []contract.Role
	signed  bool // https, with the service account's token
	keep    string
	buckets string // of a histogram, those limits that are kept
}

// config is Prometheus' own file. Its targets are the plan's machines: nobody is asked where
// they are.
func config(p *plan.Plan) (map[string]any, error) {
	node, err := nodeexporter.Port()
	if err != nil {
		return nil, err
	}
	containers, err := cadvisor.Port()
	if err != nil {
		return nil, err
	}
	kubelet, err := part.Port(clauseKubelet)
	if err != nil {
		return nil, err
	}
	jobs := []job{
		{name: "node", port: node, roles: nodeexporter.Roles,
			keep: "craton_.+|node_(cpu_seconds_total|disk_.+|filesystem_.+|load.+|memory_(MemTotal|MemAvailable|MemFree|Cached|SwapFree)_bytes|network_.+_total|nf_conntrack_.+|pressure_.+|textfile_.+|time_seconds|uname_info|vmstat_oom_kill)"},
		// Of its many histograms one is looked at, at one second.
		{name: "apiserver", port: int(p.Network.APIPort), roles: []contract.Role{contract.Master}, signed: true,
			keep:    "apiserver_(request_total|request_duration_seconds_(bucket|count)|current_inflight_requests|storage_objects)|process_(resident_memory_bytes|cpu_seconds_total)",
			buckets: `1(\.0)?`},
		{name: "kubelet", port: kubelet, roles: []contract.Role{contract.Master, contract.Infra, contract.Worker}, signed: true,
			keep: "kubelet_(certificate_manager_.+_ttl_seconds|running_pods|running_containers|evictions)|process_(resident_memory_bytes|cpu_seconds_total)"},
	}
	if slices.Contains(p.Components, cadvisor.Part.Name) {
		jobs = append(jobs, job{name: "cadvisor", port: containers, roles: []contract.Role{cadvisor.Role},
			keep: "container_(cpu_usage_seconds_total|memory_working_set_bytes|memory_rss|network_(receive|transmit)_bytes_total|oom_events_total)|machine_(cpu_cores|memory_bytes)"})
	}
	var scrapes []map[string]any
	for _, j := range jobs {
		scrapes = append(scrapes, j.scrape(p))
	}
	return map[string]any{
		"global":         map[string]any{"scrape_interval": "15s", "scrape_timeout": "10s", "evaluation_interval": "10s"},
		"rule_files":     []string{configDir + "/" + rulesKey},
		"scrape_configs": scrapes,
	}, nil
}

func (j job) scrape(p *plan.Plan) map[string]any {
	var targets []map[string]any
	for _, m := range p.Machines {
		if !slices.Contains(j.roles, m.Role) {
			continue
		}
		targets = append(targets, map[string]any{
			"targets": []string{address(m.Address, j.port)},
			"labels":  map[string]string{"machine": m.Name, "role": string(m.Role)},
		})
	}
	kept := []map[string]any{{"source_labels": []string{"__name__"}, "regex": j.keep, "action": "keep"}}
	if j.buckets != "" {
		kept = append(kept, map[string]any{
			"source_labels": []string{"__name__", "le"}, "regex": `.+_bucket;(.+)`, "target_label": "__limit", "replacement": "$1",
		}, map[string]any{
			"source_labels": []string{"__limit"}, "regex": "|" + j.buckets, "action": "keep",
		}, map[string]any{
			"regex": "__limit", "action": "labeldrop",
		})
	}
	out := map[string]any{
		"job_name":               j.name,
		"static_configs":         targets,
		"metric_relabel_configs": kept,
		// What is said of another machine keeps that one's name.
		"honor_labels": true,
	}
	if j.signed {
		out["scheme"] = "https"
		out["authorization"] = map[string]any{"credentials_file": serviceAccount + "token"}
		out["tls_config"] = map[string]any{"ca_file": serviceAccount + "ca.crt"}
	}
	return out
}

func address(a netip.Addr, port int) string { return net.JoinHostPort(a.String(), strconv.Itoa(port)) }
