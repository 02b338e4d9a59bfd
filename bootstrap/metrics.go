package bootstrap

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"craton.dev/craton/contract"
	"craton.dev/craton/machines/local"
	"craton.dev/craton/metrics"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/nftables"
	"craton.dev/craton/render/part"
	"craton.dev/craton/render/part/nodeexporter"
)

const (
	// measureEvery is how often metrics are brought to masters.
	measureEvery = 10 * time.Second
	// settled is how long after a file was applied the rules may still be the last one's.
	settled = 10 * time.Second
	// etcdAnswers is how long a member may take to say how it is.
	etcdAnswers = time.Second
	// lastBackup is the file that says when the last backup was taken.
	lastBackup = "last-backup"
)

// Metrics are what there is to measure of a cluster from outside of its machines. What cannot
// be told now has no sample: only that nothing at all can be told is an error.
func (c *Cluster) Metrics(ctx context.Context) ([]metrics.Family, error) {
	m := &measurer{followed: followed{name: c.Name, c: c}}
	var err error
	if m.applied, err = changedAt(filepath.Join(c.Dir, applied)); err != nil {
		return nil, err
	}
	return m.measure(ctx)
}

// measurer is what is known of metrics from one time to the next.
type measurer struct {
	followed
	// dropped counts, by clause, the packets in the log of drops up to a place in it which the
	// plan lets through.
	dropped map[string]int
	read    int64
	// clean is set when masters have no metrics of ours.
	clean bool
}

// publish lays metrics down on the masters that run, where the node exporter is on, and takes
// them away where it is not.
func (m *measurer) publish(ctx context.Context) error {
	anew, err := m.follow()
	if err != nil {
		return err
	}
	m.clean = m.clean && !anew
	var text bytes.Buffer
	command := "rm -f " + nodeexporter.Textfile
	if slices.Contains(m.c.Plan.Components, nodeexporter.Part.Name) {
		families, err := m.measure(ctx)
		if err != nil {
			return err
		}
		if err := metrics.Write(&text, families); err != nil {
			return err
		}
		// Whoever reads it reads all of it.
		command = fmt.Sprintf("umask 022; cat > %[1]s.new && mv %[1]s.new %[1]s", nodeexporter.Textfile)
	} else if m.clean {
		return nil
	}
	running, err := m.c.runningMasters(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, machine := range running {
		errs = append(errs, m.c.Platform.Exec(ctx, machine.Name, []string{"sh", "-c", command}, bytes.NewReader(text.Bytes()), nil, nil))
	}
	err = errors.Join(errs...)
	m.clean = err == nil && text.Len() == 0
	return err
}

func (m *measurer) measure(ctx context.Context) ([]metrics.Family, error) {
	clauses, drops, err := m.c.Platform.Counters(ctx)
	if err != nil {
		return nil, err
	}
	out := countersOf(clauses, drops)
	dropped, err := m.planned()
	if err != nil {
		return nil, err
	}
	out = append(out, dropped)
	states, err := m.c.Platform.States(ctx)
	if err != nil {
		return nil, err
	}
	up := metrics.Family{Name: "craton_machine_running", Help: "Whether a machine of the plan runs.", Kind: metrics.Gauge}
	runs := map[string]bool{}
	for _, s := range states {
		runs[s.Name] = s.Running
	}
	for _, machine := range m.c.Plan.Machines {
		up.Samples = append(up.Samples, metrics.Sample{
			Labels: map[string]string{"machine": machine.Name, "role": string(machine.Role)}, Value: number(runs[machine.Name]),
		})
	}
	out = append(out, up)
	if m.c.Plan.File.Etcd != etcdExternal {
		out = append(out, m.etcd(ctx)...)
	}
	out = append(out, m.c.certificateMetrics(), m.c.foundedMetric())
	if m.c.Plan.File.Etcd != etcdExternal {
		backup, err := m.c.backupMetric()
		if err != nil {
			return nil, err
		}
		out = append(out, backup)
	}
	return out, nil
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// countersOf are the fabric's counters. Clauses that have let nothing through are there too.
func countersOf(clauses, drops map[string]nftables.Count) []metrics.Family {
	packets := metrics.Family{Name: "craton_clause_packets_total", Help: "Packets that a clause of the contract has let through.", Kind: metrics.Counter}
	size := metrics.Family{Name: "craton_clause_bytes_total", Help: "Bytes that a clause of the contract has let through.", Kind: metrics.Counter}
	shut := metrics.Family{Name: "craton_drop_packets_total", Help: "Packets that no clause opens, by the role and direction whose rules dropped them.", Kind: metrics.Counter}
	for id, n := range clauses {
		labels := map[string]string{"clause": id}
		packets.Samples = append(packets.Samples, metrics.Sample{Labels: labels, Value: float64(n.Packets)})
		size.Samples = append(size.Samples, metrics.Sample{Labels: labels, Value: float64(n.Bytes)})
	}
	for rule, n := range drops {
		shut.Samples = append(shut.Samples, metrics.Sample{Labels: map[string]string{"rule": rule}, Value: float64(n.Packets)})
	}
	return []metrics.Family{packets, size, shut}
}

// planned counts the packets that were dropped though the plan lets them through: then the
// rules are not the plan's. It reads on in the log of drops from where it was.
func (m *measurer) planned() (metrics.Family, error) {
	if m.dropped == nil {
		m.dropped = map[string]int{}
	}
	drops, read, err := m.c.Platform.Drops(m.read)
	m.read = read
	countPlanned(m.dropped, m.c.Plan, drops, m.applied.Add(settled))
	out := metrics.Family{Name: "craton_clause_dropped_total", Kind: metrics.Counter,
		Help: "Packets that a clause of the contract opens the way to and that were dropped all the same, of those in the log, which is limited in rate."}
	for _, r := range m.c.Plan.Rules {
		for _, id := range r.Clauses {
			if _, ok := m.dropped[id]; !ok {
				m.dropped[id] = 0 // it can be seen to grow
			}
		}
	}
	for id, n := range m.dropped {
		out.Samples = append(out.Samples, metrics.Sample{Labels: map[string]string{"clause": id}, Value: float64(n)})
	}
	return out, err
}

// countPlanned adds the drops that the plan lets through to their clauses' numbers. Those from
// before the plan was the rules' say nothing.
func countPlanned(count map[string]int, p *plan.Plan, drops []local.Drop, since time.Time) {
	for _, d := range drops {
		if d.Time.Before(since) || d.Rule == nftables.Spoofed {
			continue
		}
		protocol := contract.Protocol(d.Protocol)
		if protocol != contract.TCP && protocol != contract.UDP {
			continue // no clause is about others
		}
		if ok, clauses := p.Allows(d.Source, d.Destination, protocol, d.Port); ok {
			for _, id := range clauses {
				count[id]++
			}
		}
	}
}

// etcd asks the members on masters how they are. Their own machine alone can ask them without
// a certificate, and this host is on all of their networks.
func (m *measurer) etcd(ctx context.Context) []metrics.Family {
	up := metrics.Family{Name: "craton_etcd_member_up", Help: "Whether a master's member of etcd answers.", Kind: metrics.Gauge}
	led := metrics.Family{Name: "craton_etcd_has_leader", Help: "Whether a master's member of etcd knows of a leader, so that there is a quorum.", Kind: metrics.Gauge}
	size := metrics.Family{Name: "craton_etcd_database_bytes", Help: "Size of a member's data.", Kind: metrics.Gauge}
	for _, machine := range m.c.masters() {
		labels := map[string]string{"machine": machine.Name}
		values, err := m.askEtcd(ctx, machine.Name)
		up.Samples = append(up.Samples, metrics.Sample{Labels: labels, Value: number(err == nil)})
		if err != nil {
			continue
		}
		for name, family := range map[string]*metrics.Family{"etcd_server_has_leader": &led, "etcd_mvcc_db_total_size_in_bytes": &size} {
			if value, ok := values[name]; ok {
				family.Samples = append(family.Samples, metrics.Sample{Labels: labels, Value: value})
			}
		}
	}
	return []metrics.Family{up, led, size}
}

// askEtcd reads a member's metrics that have no labels.
func (m *measurer) askEtcd(ctx context.Context, machine string) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, etcdAnswers)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return m.c.Platform.DialFrom(ctx, machine, network, address, etcdAnswers)
		},
	}}
	at := net.JoinHostPort(part.Loopback, strconv.Itoa(manifests.EtcdMetricsPort))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	values := map[string]float64{}
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if number, err := strconv.ParseFloat(value, 64); ok && err == nil {
			values[name] = number
		}
	}
	return values, lines.Err()
}

// certificateMetrics is when the certificates end that `craton up` has issued.
func (c *Cluster) certificateMetrics() metrics.Family {
	out := metrics.Family{Name: "craton_certificate_ends_timestamp_seconds", Help: "When a certificate of the cluster ends.", Kind: metrics.Gauge}
	add := func(name string, v validity) {
		out.Samples = append(out.Samples, metrics.Sample{Labels: map[string]string{"certificate": name}, Value: float64(v.ends.Unix())})
	}
	for _, v := range authorities(c.pkiDir()) {
		add(v.name+"-ca", v)
	}
	issued := map[string]bool{}
	for _, id := range c.Plan.Identities {
		issued[id.Name] = true
	}
	for _, v := range certificates(c.pkiDir(), "certificates") {
		if issued[v.name] { // others are of machines that are gone
			add(v.name, v)
		}
	}
	if own := c.Plan.File.IngressCertificate; own != nil {
		for _, v := range certificatesIn(own.CertFile, plan.IdentityIngress) {
			add(v.name, v)
			break // the others are of its authorities
		}
	}
	return out
}

func (c *Cluster) foundedMetric() metrics.Family {
	out := metrics.Family{Name: "craton_cluster_founded_timestamp_seconds", Help: "When the cluster's API was there for the first time.", Kind: metrics.Gauge}
	if when, err := changedAt(filepath.Join(c.Dir, foundedFile)); err == nil {
		out.Samples = []metrics.Sample{{Value: float64(when.Unix())}}
	}
	return out
}

// backupMetric has no sample where there is no backup yet.
func (c *Cluster) backupMetric() (metrics.Family, error) {
	out := metrics.Family{Name: "craton_backup_timestamp_seconds", Help: "When the last backup of the cluster was taken.", Kind: metrics.Gauge}
	path := filepath.Join(c.Dir, lastBackup)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	when, err := time.Parse(time.RFC3339, strings.TrimSpace(string(text)))
	if err != nil {
		return out, fmt.Errorf("%s: %w: take a backup, which writes it anew", path, err)
	}
	out.Samples = []metrics.Sample{{Value: float64(when.Unix())}}
	return out, nil
}

// noteBackup notes when a backup was taken.
func (c *Cluster) noteBackup(when time.Time) error {
	return c.keep(lastBackup, []byte(when.UTC().Format(time.RFC3339)+"\n"))
}
