package operation

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	gossh "golang.org/x/crypto/ssh"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
)

// run runs a script on a machine, by its console.
func (s *Stage) run(ctx context.Context, machine, script string) (string, error) {
	var out, problem bytes.Buffer
	if err := s.Platform.Exec(ctx, machine, []string{"bash", "-c", script}, nil, &out, &problem); err != nil {
		return "", fmt.Errorf("on %s: %w %.300s", machine, err, strings.TrimSpace(problem.String()))
	}
	return out.String(), nil
}

// portOf is the only port of a clause.
func portOf(clause string) uint16 {
	c, _ := contract.ByID(clause)
	return c.Ports[0].First
}

// serving is the certificate that a machine's kubelet shows; nil where it has none.
func (s *Stage) serving(ctx context.Context, m plan.Machine) []byte {
	conn, err := s.at(m.Name).dial(ctx, "tcp", hostPort(m.Address, portOf("worker.ingress.kubelet")))
	if err != nil {
		return nil
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil
	}
	// Which certificate it is, is all that is asked; the API signs no false one.
	c := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	if err := c.HandshakeContext(ctx); err != nil || len(c.ConnectionState().PeerCertificates) == 0 {
		return nil
	}
	return c.ConnectionState().PeerCertificates[0].Raw
}

// join takes from the kubelets of all machines but masters what they got when they joined, so
// that they join again: with the bootstrap token, for new certificates, which the operator has
// to approve; and waits till their Nodes report by them. Masters' kubelets use the API server
// of their own machine, on the way to which there is no rule.
func join(ctx context.Context, s *Stage) (string, error) {
	machines := s.Plan.OfRole(contract.Infra, contract.Worker)
	if len(machines) == 0 {
		return "", errors.New("this cluster has masters only")
	}
	err := each(machines, func(m plan.Machine) error {
		before := s.serving(ctx, m)
		began := time.Now()
		if _, err := s.run(ctx, m.Name, fmt.Sprintf("systemctl stop kubelet craton-join; rm -rf %s %s; systemctl start --no-block kubelet craton-join",
			firstboot.KubeletKubeconfig, firstboot.KubeletPKIDir)); err != nil {
			return err
		}
		return until(ctx, 300*time.Millisecond, func() error {
			if now := s.serving(ctx, m); now == nil || bytes.Equal(now, before) {
				return fmt.Errorf("the kubelet of %s has no new certificate", m.Name)
			}
			return s.reports(ctx, m, began)
		})
	})
	return fmt.Sprintf("%d kubelets got new certificates and report again", len(machines)), err
}

// reports is nil once a machine's kubelet has renewed its lease since then, and its Node is ready.
func (s *Stage) reports(ctx context.Context, m plan.Machine, since time.Time) error {
	lease, err := s.direct.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, m.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if lease.Spec.RenewTime == nil || lease.Spec.RenewTime.Time.Before(since) {
		return fmt.Errorf("the kubelet of %s does not report", m.Name)
	}
	node, err := s.direct.CoreV1().Nodes().Get(ctx, m.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			return nil
		}
	}
	return fmt.Errorf("%s is not ready", m.Name)
}

// powerCycle takes the power from the first machine of each role but master, gives it back, and
// waits till the machine reports and its pods are ready.
func powerCycle(ctx context.Context, s *Stage) (string, error) {
	var machines []plan.Machine
	for _, role := range []contract.Role{contract.Infra, contract.Worker} {
		if all := s.Plan.OfRole(role); len(all) > 0 {
			machines = append(machines, all[0])
		}
	}
	if len(machines) == 0 {
		return "", errors.New("this cluster has masters only")
	}
	began := time.Now()
	err := each(machines, func(m plan.Machine) error {
		if err := s.Platform.PowerOff(ctx, m.Name); err != nil {
			return err
		}
		return s.Start(ctx, m)
	})
	if err != nil {
		return "", err
	}
	err = until(ctx, 500*time.Millisecond, func() error {
		for _, m := range machines {
			if err := s.reports(ctx, m, began); err != nil {
				return err
			}
		}
		pods, err := s.direct.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + machines[len(machines)-1].Name})
		if err != nil {
			return err
		}
		for _, p := range pods.Items {
			for _, c := range p.Status.ContainerStatuses {
				if c.State.Running == nil || c.State.Running.StartedAt.Time.Before(began.Truncate(time.Second)) || !c.Ready {
					return fmt.Errorf("pod %s of %s has not come back", p.Name, p.Spec.NodeName)
				}
			}
		}
		return s.look(ctx)
	})
	return fmt.Sprintf("%d machines came back, and all their pods, after %.0f s", len(machines), time.Since(began).Seconds()), err
}

// pullImage has the container runtime of each machine get images from the registries by name.
// What it has of them is not sent again; that it is still what the name means, the registry says.
func pullImage(ctx context.Context, s *Stage) (string, error) {
	var script strings.Builder
	script.WriteString("set -e\n")
	for _, image := range s.Images {
		fmt.Fprintf(&script, "timeout 6 ctr --namespace %s content fetch --hosts-dir %s %s >/dev/null\n", Namespace, firstboot.RegistryDir, image)
	}
	err := each(s.Plan.Machines, func(m plan.Machine) error {
		_, err := s.run(ctx, m.Name, script.String())
		return err
	})
	return fmt.Sprintf("%d machines got %s", len(s.Plan.Machines), strings.Join(s.Images, ", ")), err
}

// ssh logs in to each master from the user network, as a user that is there for probes only.
func ssh(ctx context.Context, s *Stage) (string, error) {
	masters := s.Plan.OfRole(contract.Master)
	err := each(masters, func(m plan.Machine) error {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return err
		}
		signer, err := gossh.NewSignerFromKey(private)
		if err != nil {
			return err
		}
		key, err := gossh.NewPublicKey(public)
		if err != nil {
			return err
		}
		line := strings.TrimSpace(string(gossh.MarshalAuthorizedKey(key)))
		// A user of its own, which Close removes: the machine's may have no key.
		if _, err := s.run(ctx, m.Name, fmt.Sprintf(`id -u %[1]s >/dev/null 2>&1 || useradd --create-home --shell /bin/bash %[1]s
install -d -m 700 -o %[1]s ~%[1]s/.ssh && echo '%[2]s' > ~%[1]s/.ssh/authorized_keys && chown %[1]s ~%[1]s/.ssh/authorized_keys`, Namespace, line)); err != nil {
			return err
		}
		return s.login(ctx, m, signer)
	})
	return fmt.Sprintf("logged in to %d masters, from the user network", len(masters)), err
}

func (s *Stage) login(ctx context.Context, m plan.Machine, signer gossh.Signer) error {
	at := hostPort(m.Address, portOf("master.ingress.ssh"))
	conn, err := s.user().dial(ctx, "tcp", at)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * patience)); err != nil {
		return err
	}
	c, channels, requests, err := gossh.NewClientConn(conn, at, &gossh.ClientConfig{
		User: Namespace, Auth: []gossh.AuthMethod{gossh.PublicKeys(signer)},
		// The key opens nothing but this user's account, and nothing is sent.
		HostKeyCallback: func(string, net.Addr, gossh.PublicKey) error { return nil },
	})
	if err != nil {
		return fmt.Errorf("log in to %s: %w", m.Name, err)
	}
	client := gossh.NewClient(c, channels, requests)
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	name, err := session.Output("hostname")
	if err == nil && strings.TrimSpace(string(name)) != m.Name {
		err = fmt.Errorf("%q answers on %s", name, m.Name)
	}
	return err
}

// kubeletStatus asks each master's kubelet on its read-only port, from everywhere.
func kubeletStatus(ctx context.Context, s *Stage) (string, error) {
	masters := s.Plan.OfRole(contract.Master)
	from := []place{s.user(), s.outside()}
	if s.Plan.Network.LoadBalancer.IsValid() {
		from = append(from, s.balancer())
	}
	err := each(masters, func(m plan.Machine) error {
		return each(from, func(p place) error {
			_, err := p.get(ctx, nil, "http://"+hostPort(m.Address, portOf("master.ingress.kubelet-read-only"))+"/healthz")
			return err
		})
	})
	return fmt.Sprintf("%d masters, from %d places", len(masters), len(from)), err
}
