package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/command"
	"craton.dev/craton/faults/history"
	"craton.dev/craton/faults/load"
)

// keep writes down how the cluster is, for whoever wants to know why a scenario failed.
// What cannot be had is left out.
func (l *lab) keep(p *play) {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	dir := l.scratch(p)
	if os.MkdirAll(dir, 0o700) != nil || l.cluster == nil {
		return
	}
	save := func(name string, data []byte, err error) {
		if err != nil {
			data = append(data, "\n"+err.Error()+"\n"...)
		}
		_ = os.WriteFile(filepath.Join(dir, name), data, 0o600)
	}
	run := func(name string, args ...string) {
		var all bytes.Buffer
		_, err := command.Cmd{Name: l.craton, Args: args, Stdout: &all, Stderr: &all, Timeout: 15 * time.Second}.Run(ctx)
		save(name, all.Bytes(), err)
	}
	run("status", "status", "--cluster", l.name)
	run("pods", "kubectl", "--cluster", l.name, "get", "pods", "-A", "-o", "wide")
	run("events", "kubectl", "--cluster", l.name, "get", "events", "-A")
	for _, m := range l.cluster.Plan.Machines {
		for name, script := range map[string]string{
			"kubelet":    "journalctl -u kubelet -n 400 --no-pager",
			"containerd": "journalctl -u containerd -n 100 --no-pager",
			"processes":  "ps -eo pid,stat,etime,args; ls -l /etc/kubernetes/manifests /etc/kubernetes/checkpoints",
			"pod-logs":   "for f in /var/log/pods/kube-system_*/*/*.log; do echo \"== $f\"; tail -n 60 $f; done",
		} {
			var all bytes.Buffer
			once, cancel := context.WithTimeout(ctx, 10*time.Second)
			err := l.cluster.Platform.Exec(once, m.Name, []string{"sh", "-c", script}, nil, &all, &all)
			cancel()
			save(m.Name+"."+name, all.Bytes(), err)
		}
	}
	if drops, err := os.ReadFile(filepath.Join(bootstrap.StateRoot, l.name, "local", "log", "drops.json")); err == nil {
		save("drops.json", drops[max(0, len(drops)-100_000):], nil)
	}
}

// keepHistory keeps what the clients have seen where a scenario failed, so that `faults
// -check` can look at it again, and the probes' waits.
func (l *lab) keepHistory(p *play, result load.Result) {
	if p.row.Verdict == passed && os.Getenv(keepAll) == "" {
		return
	}
	dir := l.scratch(p)
	if os.MkdirAll(dir, 0o700) != nil {
		return
	}
	var b bytes.Buffer
	if history.Write(&b, result.Ops) == nil {
		_ = os.WriteFile(filepath.Join(dir, "history"), b.Bytes(), 0o600)
	}
	if waits, err := json.MarshalIndent(result.Waits, "", "  "); err == nil {
		head := fmt.Sprintf("# the fault came at %s\n", p.began.Format(time.RFC3339Nano))
		_ = os.WriteFile(filepath.Join(dir, "waits"), append([]byte(head), waits...), 0o600)
	}
}

// keepAll, in the environment, keeps the histories of scenarios that passed as well.
const keepAll = "CRATON_FAULTS_KEEP"
