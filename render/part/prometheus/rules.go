package prometheus

import (
	"fmt"
	"strings"

	"craton.dev/craton/render/firstboot"
)

// Alert is something that an operator must know: what is so while it fires, and what to do.
type Alert struct {
	Name string
	// Severity is critical where the cluster does not do its work, or warning.
	Severity string
	// When is the expression that has a result while it is so, and For how long it has to be.
	When, For string
	// Summary says what is so, and Do what next; both may name the result's labels.
	Summary, Do string
}

const (
	critical = "critical"
	warning  = "warning"
)

// outside has a metric of craton's own, which every master serves, once for each value of these
// labels.
func outside(metric string, labels ...string) string {
	return "max by (" + strings.Join(labels, ", ") + ") (" + metric + ")"
}

// watched are the requests that answer at once: others last as long as their clients want.
const watched = `verb!~"WATCH|CONNECT",subresource!~"log|exec|attach|portforward|proxy"`

// unheard is the part of the last minute's scrapes that failed, of the API server that was heard best.
// Where etcd hangs, API servers' stand-ins hold new connections and answer none, since they cannot
// start either: then nobody's counters can be read. A counter needs two scrapes in a minute to have a
// rate; where fewer come through, more than half have failed.
const unheard = `1 - max(avg_over_time(up{job="apiserver"}[1m]))`

// Alerts are all of them.
func Alerts() []Alert {
	return []Alert{
		{
			Name: "EtcdNoQuorum", Severity: critical, For: "15s",
			When:    fmt.Sprintf("(count(%s == 1) or vector(0)) < floor(count(%s) / 2) + 1", outside("craton_etcd_has_leader", "machine"), outside("craton_etcd_member_up", "machine")),
			Summary: "etcd has no quorum: too few of its members know of a leader, so that the API can write nothing",
			Do:      "start the masters that are off (craton up); where their disks are lost, craton recover",
		},
		{
			Name: "EtcdMemberDown", Severity: warning, For: "30s",
			When:    outside("craton_etcd_member_up", "machine") + " == 0 or " + outside("craton_etcd_has_leader", "machine") + " == 0",
			Summary: "etcd's member on {{ $labels.machine }} does not answer or knows of no leader",
			Do:      "craton status, and craton logs of that machine",
		},
		{
			Name: "APIServerDown", Severity: critical, For: "30s",
			When:    `up{job="apiserver"} == 0`,
			Summary: "the API server of {{ $labels.machine }} does not answer",
			Do:      "craton status says what its pod and its machine are like",
		},
		{
			Name: "APIErrors", Severity: critical, For: "30s",
			When:    `sum(rate(apiserver_request_total{code=~"5.."}[1m])) / sum(rate(apiserver_request_total[1m])) > 0.05 or ` + unheard + " > 0.5",
			Summary: "the API fails {{ $value | humanizePercentage }} of the requests",
			Do:      "look whether etcd is well; craton logs of kube-apiserver says which requests fail",
		},
		{
			Name: "APISlow", Severity: warning, For: "30s",
			When: fmt.Sprintf(`1 - sum(rate(apiserver_request_duration_seconds_bucket{le="1.0",%[1]s}[1m])) / sum(rate(apiserver_request_duration_seconds_count{%[1]s}[1m])) > 0.01`,
				watched),
			Summary: "{{ $value | humanizePercentage }} of the API's answers take longer than a second",
			Do:      "look at masters' processors, memory and disks: etcd waits for its disk before it answers",
		},
		{
			Name: "CertificateEnds", Severity: warning, For: "0s",
			When: outside("craton_certificate_ends_timestamp_seconds", "certificate") + " - time() < 30 * 86400" +
				" or kubelet_certificate_manager_client_ttl_seconds < 3 * 86400 or kubelet_certificate_manager_server_ttl_seconds < 3 * 86400",
			Summary: "the certificate {{ $labels.certificate }}{{ if $labels.job }}of the kubelet of {{ $labels.machine }}{{ end }} ends in {{ $value | humanizeDuration }}",
			Do:      "craton up renews those of masters; a kubelet renews its own, as long as it reaches the API and the operator runs",
		},
		{
			Name: "MachineAway", Severity: critical, For: "30s",
			When:    `max by (machine, role) (up{job=~"node|kubelet"}) == 0 or ` + outside("craton_machine_running", "machine", "role") + " == 0",
			Summary: "the machine {{ $labels.machine }} is off or cannot be reached",
			Do:      "craton status says more, and craton up starts it",
		},
		{
			Name: "DiskFilling", Severity: warning, For: "30s",
			When: fmt.Sprintf("node_filesystem_avail_bytes < %d and node_filesystem_avail_bytes / node_filesystem_size_bytes < 0.1 and node_filesystem_readonly == 0",
				2*firstboot.KeepFree),
			Summary: "{{ $labels.mountpoint }} of {{ $labels.machine }} has {{ $value | humanize1024 }}B left",
			Do:      "make room: with less than 1 GiB on a machine's disk its kubelet evicts pods",
		},
		{
			Name: "ClauseDropsTraffic", Severity: critical, For: "0s",
			When:    "max by (clause) (increase(craton_clause_dropped_total[1m])) > 0",
			Summary: "packets are dropped to which the clause {{ $labels.clause }} opens the way: the rules are not the plan's",
			Do:      "craton verify --static says which, and craton up puts the rules back",
		},
		{
			Name: "BackupOld", Severity: warning, For: "0s",
			When: "time() - (" + outside("craton_backup_timestamp_seconds") + " or (" + outside("craton_cluster_founded_timestamp_seconds") +
				` and on () craton_etcd_member_up)) > 7 * 86400`,
			Summary: "the last backup of the cluster, or the cluster itself where there is none, is {{ $value | humanizeDuration }} old",
			Do:      "craton backup",
		},
		{
			Name: "OutsideUnknown", Severity: warning, For: "1m",
			When:    `time() - max(node_textfile_mtime_seconds{file=~".*craton.prom"}) > 60 or absent(node_textfile_mtime_seconds{file=~".*craton.prom"})`,
			Summary: "nothing is heard of what is known outside of the machines: clauses' counters, etcd's quorum, certificates, backups",
			Do:      "craton up on the cluster's host starts what brings it here",
		},
	}
}

// rules is Prometheus' file of rules.
func rules() map[string]any {
	var list []map[string]any
	for _, a := range Alerts() {
		list = append(list, map[string]any{
			"alert": a.Name, "expr": a.When, "for": a.For,
			"labels":      map[string]string{"severity": a.Severity},
			"annotations": map[string]string{"summary": a.Summary, "do": strings.TrimSpace(a.Do)},
		})
	}
	return map[string]any{"groups": []map[string]any{{"name": "craton", "rules": list}}}
}
