package operation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

// podToPod connects the pods of each two machines, both ways, over tcp and udp.
func podToPod(ctx context.Context, s *Stage) (string, error) {
	type way struct{ from, to testPod }
	var ways []way
	for _, from := range s.pods {
		for _, to := range s.pods {
			if from.machine != to.machine {
				ways = append(ways, way{from, to})
			}
		}
	}
	err := each(ways, func(w way) error {
		name, err := s.in(w.from).get(ctx, nil, "http://"+hostPort(w.to.address, webPort)+"/hostname")
		if err == nil && name != w.to.name {
			err = fmt.Errorf("%s answers for pod %s", name, w.to.name)
		}
		return err
	})
	return fmt.Sprintf("%d ways between pods of different machines", len(ways)), err
}

// reachService asks a service from a pod of each machine till every machine's pod has answered.
func reachService(ctx context.Context, s *Stage) (string, error) {
	asked := 0
	err := each(s.pods, func(p testPod) error {
		seen := map[string]bool{}
		for n := 0; len(seen) < len(s.pods); n++ {
			if n > 20*len(s.pods) {
				return fmt.Errorf("from pod %s: of %d pods of the service, %d have answered", p.name, len(s.pods), len(seen))
			}
			name, err := s.in(p).get(ctx, nil, "http://"+hostPort(s.service, 80)+"/hostname")
			if err != nil {
				return err
			}
			seen[name] = true
		}
		return nil
	})
	asked = len(s.pods)
	return fmt.Sprintf("from %d pods, each reached all %d pods of the service", asked, len(s.pods)), err
}

// resolveService asks the cluster's DNS from each pod, by its service and each of its pods.
func resolveService(ctx context.Context, s *Stage) (string, error) {
	servers := append(slices.Clone(s.dns), s.Plan.Network.ServiceDNS)
	err := each(s.pods, func(p testPod) error {
		return each(servers, func(server netip.Addr) error {
			return each([]string{"udp", "tcp"}, func(network string) error {
				found, err := s.in(p).lookup(ctx, network, netip.AddrPortFrom(server, dnsPort), "web."+Namespace+".svc.cluster.local")
				if err == nil && !slices.Equal(found, []string{s.service.String()}) {
					err = fmt.Errorf("%s answers %v about a service at %s", server, found, s.service)
				}
				return err
			})
		})
	})
	return fmt.Sprintf("%d pods asked %d addresses of the cluster's DNS over udp and tcp", len(s.pods), len(servers)), err
}

// findDNS reads where the pods of the cluster's DNS are. Probes ask those that were there before, so
// that what they find says nothing of the API.
func (s *Stage) findDNS(ctx context.Context) error {
	pods, err := s.direct.CoreV1().Pods(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{LabelSelector: "k8s-app=kube-dns"})
	if err != nil {
		return err
	}
	var all []netip.Addr
	for _, p := range pods.Items {
		if a, err := netip.ParseAddr(p.Status.PodIP); err == nil && ready(&p) {
			all = append(all, a)
		}
	}
	if len(all) == 0 {
		return errors.New("no pod of the cluster's DNS is ready")
	}
	s.dns = all
	return nil
}

// resolveName asks for names that nobody can have asked for before, so that no cache answers:
// machines their resolver over udp and tcp, and pods the cluster's DNS on their own machine.
func resolveName(ctx context.Context, s *Stage) (string, error) {
	fresh := func() string { return fmt.Sprintf("x%08x.%s", rand.Uint32(), s.Plan.File.Subdomain) }
	errMachines := each(s.Plan.Machines, func(m plan.Machine) error {
		return each([]string{"udp", "tcp"}, func(network string) error {
			_, err := s.at(m.Name).lookup(ctx, network, netip.AddrPortFrom(s.Plan.Network.Resolvers[0], dnsPort), fresh())
			return err
		})
	})
	if errMachines != nil {
		return "", errMachines
	}
	// A DNS pod is asked from a pod of its machine, as far as there is one.
	err := each(s.dns, func(server netip.Addr) error {
		from := s.pods[0]
		for _, p := range s.pods {
			if podNetwork(p.address) == podNetwork(server) {
				from = p
			}
		}
		_, err := s.in(from).lookup(ctx, "udp", netip.AddrPortFrom(server, dnsPort), fresh())
		return err
	})
	return fmt.Sprintf("%d machines asked the resolver over udp and tcp, %d pods of the cluster's DNS passed a question on", len(s.Plan.Machines), len(s.dns)), err
}

// podNetwork is the network of a machine's pods.
func podNetwork(a netip.Addr) netip.Prefix {
	p, _ := a.Prefix(24)
	return p
}

// nodePort asks every machine whose node ports users may reach, from the user network.
func nodePort(ctx context.Context, s *Stage) (string, error) {
	asked := s.nodePorts()
	if len(asked) == 0 {
		return "", fmt.Errorf("the plan lets users reach port %d of no machine", s.nodePort)
	}
	err := each(asked, func(m plan.Machine) error {
		_, err := s.user().get(ctx, nil, "http://"+hostPort(m.Address, s.nodePort)+"/hostname")
		return err
	})
	return fmt.Sprintf("port %d of %d machines, from the user network", s.nodePort, len(asked)), err
}

// nodePorts are the machines whose node ports users may reach.
func (s *Stage) nodePorts() (all []plan.Machine) {
	user := s.Plan.Network.User.Addr().Next().Next()
	for _, m := range s.Plan.Machines {
		if ok, _ := s.Plan.Allows(user, m.Address, contract.TCP, s.nodePort); ok {
			all = append(all, m)
		}
	}
	return all
}

// nodePortFromPod asks each machine for users' pods from a pod of each other one. The service's node port
// leads to the asked machine's own pod, so that no packet between machines needs VXLAN.
func nodePortFromPod(ctx context.Context, s *Stage) (string, error) {
	users := forUsers(s.Plan)
	type way struct {
		from testPod
		to   plan.Machine
	}
	var ways []way
	for _, p := range s.pods {
		if !slices.ContainsFunc(users, func(m plan.Machine) bool { return m.Name == p.machine }) {
			continue
		}
		for _, m := range users {
			if m.Name != p.machine {
				ways = append(ways, way{p, m})
			}
		}
	}
	err := each(ways, func(w way) error {
		_, err := s.in(w.from).get(ctx, nil, "http://"+hostPort(w.to.Address, s.nodePort)+"/hostname")
		return err
	})
	return fmt.Sprintf("port %d of other machines, %d ways from pods", s.nodePort, len(ways)), err
}
