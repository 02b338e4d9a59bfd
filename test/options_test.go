package test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/cluster"
	"craton.dev/craton/command"
	"craton.dev/craton/render/nftables"
)

const optionsCluster = "cioptions"

// TestOptions protects that the file alone says what a cluster is like: every option turned on on
// a running cluster leaves what a fresh cluster of that file has, and turned off again what there
// was before.
func TestOptions(t *testing.T) {
	needHost(t)
	l := newLab(t, optionsCluster)
	t.Cleanup(func() { l.diagnose(t) })
	on := []string{"infra: 1", "options:"}
	for field := range reflect.TypeFor[cluster.Options]().Fields() {
		on = append(on, "  "+field.Tag.Get("json")+": true")
	}
	up := func(more ...string) {
		t.Helper()
		l.write(t, 1, 1, more...)
		l.up(t)
		l.ready(t)
	}
	up("infra: 1")
	off := l.made(t)
	up(on...)
	grown := l.made(t)
	if len(grown) <= len(off) {
		t.Fatalf("with every option on there are %d things, and %d without", len(grown), len(off))
	}
	up("infra: 1")
	l.becomes(t, "turned off again", off)
	l.down(t)
	up(on...)
	l.becomes(t, "a fresh cluster with every option", grown)
}

// made is what a file makes of a cluster and its surroundings: each thing, and what it is like.
type made map[string]string

// becomes waits until the cluster is as it was: pods that end take a while.
func (l *lab) becomes(t *testing.T, when string, want made) {
	t.Helper()
	var differ []string
	for end := time.Now().Add(40 * time.Second); ; time.Sleep(2 * time.Second) {
		got := l.made(t)
		differ = nil
		for _, thing := range slices.Sorted(maps.Keys(got)) {
			if was, ok := want[thing]; !ok {
				differ = append(differ, "there is also "+thing)
			} else if was != got[thing] {
				differ = append(differ, fmt.Sprintf("%s is %s, expected %s", thing, got[thing], was))
			}
		}
		for _, thing := range slices.Sorted(maps.Keys(want)) {
			if _, ok := got[thing]; !ok {
				differ = append(differ, "there is no "+thing)
			}
		}
		if len(differ) == 0 {
			return
		}
		if time.Now().After(end) {
			break
		}
	}
	t.Errorf("%s:\n%s", when, strings.Join(differ, "\n"))
}

// issued are files whose contents differ between any two clusters: keys and what they sign, when
// something was done, and pods' addresses, which machines have in the order in which they came.
const issued = `/pki/|kubeconfig|/machine-id$|/ssh_host_|encryption|ca-certificates|authentication|/ca.crt$|ignition-result|/cni/net.d/`

// random is a part of an object's name that says which contents it has, or that nobody can guess.
var random = regexp.MustCompile(`-[0-9a-f]{8,}\b|bootstrap-token-\w+`)

// made takes the picture.
func (l *lab) made(t *testing.T) made {
	t.Helper()
	m := made{}
	m.rules(t, l)
	m.surroundings(t, l)
	m.objects(t, l)
	for _, machine := range l.plan(t).Machines {
		m.machine(t, l, machine.Name)
	}
	return m
}

// rules are the fabric's, without what they have counted.
func (m made) rules(t *testing.T, l *lab) {
	t.Helper()
	out, err := command.Cmd{Name: "ip", Args: []string{"netns", "exec", "craton-" + l.name + "-fabric", "nft", "--stateless", "list", "table", "inet", nftables.Table},
		Timeout: 10 * time.Second}.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		m["rule "+strings.TrimSpace(line)] = ""
	}
}

// surroundings are what the load balancer, the resolver and the registry are told.
func (m made) surroundings(t *testing.T, l *lab) {
	t.Helper()
	dir := filepath.Join(bootstrap.StateRoot, l.name, "local")
	for _, file := range []string{"load-balancer/haproxy.cfg", "resolver/Corefile", "resolver/zone", "registry/config.yml"} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			m[fmt.Sprintf("%s:%d", file, i+1)] = line
		}
	}
}

// objects are those of parts, what workloads are made of, and the machines' labels and taints.
func (m made) objects(t *testing.T, l *lab) {
	t.Helper()
	for _, o := range l.objects(t) {
		m["object "+random.ReplaceAllString(o, "…")] = ""
	}
	client := l.client(t)
	ctx, every := context.Background(), metav1.ListOptions{}
	put := func(kind, name string, spec any) {
		text, err := json.Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		m[kind+" "+name] = random.ReplaceAllString(string(text), "…")
	}
	daemons, err := client.AppsV1().DaemonSets("").List(ctx, every)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range daemons.Items {
		put("template of DaemonSet", o.Name, o.Spec.Template.Spec)
	}
	deployments, err := client.AppsV1().Deployments("").List(ctx, every)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range deployments.Items {
		put("template of Deployment", o.Name, o.Spec.Template.Spec)
	}
	nodes, err := client.CoreV1().Nodes().List(ctx, every)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range nodes.Items {
		put("labels of", o.Name, o.Labels)
		var taints []corev1.Taint // without those that say how a machine is just now, which the node controller puts there and takes away
		for _, taint := range o.Spec.Taints {
			if !strings.HasPrefix(taint.Key, "node.kubernetes.io/") {
				taints = append(taints, taint)
			}
		}
		put("taints of", o.Name, taints)
	}
}

// machine has what is on a machine: its files, by their contents where two clusters have the same;
// the sockets on which others find something; the programs that run.
func (m made) machine(t *testing.T, l *lab, name string) {
	t.Helper()
	run := func(line string) string {
		t.Helper()
		var out strings.Builder
		if err := l.open(t).Platform.Exec(context.Background(), name, []string{"sh", "-c", line}, nil, &out, nil); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	for line := range strings.Lines(run(`cd /; find etc usr/local opt -xdev -type f | grep -vE '` + issued + `' | sort | xargs -d '\n' sha256sum`)) {
		sum, file, _ := strings.Cut(strings.TrimSpace(line), "  ")
		m[name+" file "+file] = sum
	}
	for line := range strings.Lines(run(`cd /; find etc -xdev -type f | grep -E '` + issued + `'; ls run/craton* 2>/dev/null; true`)) {
		m[name+" file "+strings.TrimSpace(line)] = ""
	}
	for line := range strings.Lines(run("ss -Hltn")) {
		if at := strings.Fields(line)[3]; !strings.HasPrefix(at, "127.") { // the kubelet has one of any port there
			m[name+" socket "+at] = ""
		}
	}
	for line := range strings.Lines(run("ps -eo comm= | sort -u")) {
		m["program "+strings.TrimSpace(line)] = "" // on which machine is the scheduler's choice
	}
}
