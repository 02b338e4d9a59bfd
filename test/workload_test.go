package test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"craton.dev/craton/command"
	"craton.dev/craton/contract"
	"craton.dev/craton/payload"
)

const (
	replicas = 2
	webPort  = 8080
)

// workload is a web server that says its pod's name, spread over the workers. It calls
// itself healthy only once it serves UDP as well, on its default port.
const workload = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: %d
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, nodeTaintsPolicy: Honor, labelSelector: {matchLabels: {app: web}}}
      containers:
      - name: web
        image: %s
        args: [netexec, --http-port=%d]
        readinessProbe: {httpGet: {path: /healthz, port: %[3]d}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{port: 80, targetPort: %[3]d}]
`

// testWorkload protects what a cluster is for: pods run, find and reach each other across
// machines, and users reach them, by the ways that users have.
func testWorkload(t *testing.T, l *lab) {
	apply := command.Cmd{Name: craton, Args: []string{"kubectl", "--cluster", l.name, "apply", "-f", "-"},
		Stdin: strings.NewReader(fmt.Sprintf(workload, replicas, payload.Image("agnhost"), webPort))}
	if _, err := apply.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.kubectl("rollout", "status", "deployment/web", "--timeout=90s"); err != nil {
		t.Fatal(err)
	}
	pods := l.webPods(t)
	if len(pods) != replicas || pods[0].Spec.NodeName == pods[1].Spec.NodeName {
		t.Fatalf("the pods are not spread: %v", names(pods))
	}
	eventually(t, 20*time.Second, func() error { return l.served(t, replicas) })
	l.proxyAnew(t)
	l.acrossMachines(t, pods)
	l.lookups(t, pods[0].Name)
	l.access(t, pods[0].Name)
}

// proxyAnew starts kube-proxy anew on all machines. It finds the rules of the one before
// and has to take them over: services were cut where it took them for somebody else's.
func (l *lab) proxyAnew(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{
		{"rollout", "restart", "--namespace=kube-system", "daemonset/kube-proxy"},
		{"rollout", "status", "--namespace=kube-system", "daemonset/kube-proxy", "--timeout=60s"},
	} {
		if _, err := l.kubectl(args...); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(2 * time.Second) // it deletes what it takes for stale a second later
	if err := l.served(t, replicas); err != nil {
		t.Errorf("after kube-proxy was started anew: %v", err)
	}
}

// webPods are the workload's pods that are not going away.
func (l *lab) webPods(t *testing.T) []corev1.Pod {
	t.Helper()
	list, err := l.client(t).CoreV1().Pods("default").List(context.Background(), metav1.ListOptions{LabelSelector: "app=web"})
	if err != nil {
		t.Fatal(err)
	}
	var pods []corev1.Pod
	for _, p := range list.Items {
		if p.DeletionTimestamp == nil && p.Status.Phase == corev1.PodRunning {
			pods = append(pods, p)
		}
	}
	return pods
}

func names(pods []corev1.Pod) (all []string) {
	for _, p := range pods {
		all = append(all, p.Name+" on "+p.Spec.NodeName)
	}
	return all
}

// served tells whether each worker's node port, seen from the user network, leads to each
// of the pods: to the one on the other machine as well.
func (l *lab) served(t *testing.T, want int) error {
	t.Helper()
	service, err := l.client(t).CoreV1().Services("default").Get(context.Background(), "web", metav1.GetOptions{})
	if err != nil {
		return err
	}
	pods := l.webPods(t)
	if len(pods) != want {
		return fmt.Errorf("%d pods run, expected %d: %v", len(pods), want, names(pods))
	}
	platform := l.open(t).Platform
	client := http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: platform.Dial}}
	for _, m := range l.plan(t).OfRole(contract.Worker) {
		url := "http://" + netip.AddrPortFrom(m.Address, uint16(service.Spec.Ports[0].NodePort)).String() + "/hostname"
		seen := map[string]bool{}
		for range 40 {
			name, err := get(&client, url)
			if err != nil {
				return err
			}
			seen[name] = true
			if len(seen) == want {
				break
			}
		}
		for _, p := range pods {
			if !seen[p.Name] {
				return fmt.Errorf("%s leads to %v, never to %s", url, seen, p.Name)
			}
		}
	}
	return nil
}

func get(client *http.Client, url string) (string, error) {
	response, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, response.Status)
	}
	return string(b), err
}

// inPod connects from a pod, which resolves the name there.
func (l *lab) inPod(pod, to string) error {
	_, err := l.kubectl("exec", pod, "--", "agnhost", "connect", "--timeout=3s", to)
	return err
}

// acrossMachines connects the pods with each other, both ways. The fabric has to have seen
// it as VXLAN, which shows that the packets went between the machines by the planned way.
func (l *lab) acrossMachines(t *testing.T, pods []corev1.Pod) {
	t.Helper()
	vxlan, ok := contract.ByID("worker.ingress.vxlan")
	if !ok {
		t.Fatal("the contract has no clause for VXLAN any more")
	}
	platform := l.open(t).Platform
	for i, from := range pods {
		to := pods[1-i]
		before, _, err := platform.Counters(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if err := l.inPod(from.Name, net.JoinHostPort(to.Status.PodIP, fmt.Sprint(webPort))); err != nil {
			t.Errorf("from %s to %s: %v", from.Name, to.Name, err)
		}
		if err := l.inPod(from.Name, net.JoinHostPort(to.Status.PodIP, fmt.Sprint(webPort+1))); err == nil || !strings.Contains(err.Error(), "REFUSED") {
			t.Errorf("from %s to a port of %s where nothing listens: expected REFUSED, got %v", from.Name, to.Name, err)
		}
		after, _, err := platform.Counters(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if n := after[vxlan.ID].Packets - before[vxlan.ID].Packets; n == 0 {
			t.Errorf("from %s to %s: the fabric counted nothing for %s", from.Name, to.Name, vxlan.ID)
		}
	}
}

// lookups resolves names in a pod as an ordinary program does: short and whole names of
// services, a name of the outside, and one that does not exist.
func (l *lab) lookups(t *testing.T, pod string) {
	t.Helper()
	for _, to := range []string{
		"kubernetes.default:443", "web:80", "web.default.svc.cluster.local:80",
		net.JoinHostPort(l.plan(t).Network.APIServer, fmt.Sprint(l.plan(t).Network.APIPort)),
	} {
		if err := l.inPod(pod, to); err != nil {
			t.Errorf("connect to %s: %v", to, err)
		}
	}
	if err := l.inPod(pod, "missing:80"); err == nil || !strings.Contains(err.Error(), "DNS") {
		t.Errorf("connect to a service that does not exist: expected a DNS error, got %v", err)
	}
}

// access uses the ways by which a person reaches a pod: logs, exec with its exit code,
// port-forward; and a machine: ssh and logs.
func (l *lab) access(t *testing.T, pod string) {
	t.Helper()
	if out, err := l.kubectl("logs", pod); err != nil || !strings.Contains(out, fmt.Sprint(webPort)) {
		t.Errorf("logs of %s: %v: %q", pod, err, out)
	}
	_, err := l.kubectl("exec", pod, "--", "agnhost", "connect", "--timeout=1s", "127.0.0.1:1")
	if failed := (*command.Error)(nil); !errors.As(err, &failed) || failed.ExitCode() != 1 {
		t.Errorf("a program that ends with 1 in a pod: %v", err)
	}
	machine := l.plan(t).Machines[0].Name
	if out, err := l.craton("ssh", "--cluster", l.name, machine, "--", "hostname"); err != nil || strings.TrimSpace(out) != machine {
		t.Errorf("ssh %s -- hostname: %q, %v", machine, out, err)
	}
	if out, err := l.craton("logs", "--cluster", l.name, machine, "--unit", "kubelet", "--lines", "3"); err != nil || strings.Count(out, "\n") < 3 {
		t.Errorf("logs of %s: %q, %v", machine, out, err)
	}
	forward := exec.Command(craton, "kubectl", "--cluster", l.name, "port-forward", "--address=127.0.0.1", "pod/"+pod, fmt.Sprintf(":%d", webPort))
	out, err := forward.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := forward.Start(); err != nil {
		t.Fatal(err)
	}
	stop := time.AfterFunc(20*time.Second, func() { forward.Process.Kill() })
	defer stop.Stop()
	defer forward.Wait()
	defer forward.Process.Kill()
	line, _ := bufio.NewReader(out).ReadString('\n')
	at := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(line)
	if name, err := get(&http.Client{Timeout: 10 * time.Second}, "http://"+at+"/hostname"); err != nil || name != pod {
		t.Errorf("port-forward says %q, and there answers %q, %v; expected %s", line, name, err, pod)
	}
}
