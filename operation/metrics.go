package operation

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

// machineMetrics reads what the node exporter of each machine serves from a machine of each of the
// roles that may ask, which is another one where there are several.
func machineMetrics(ctx context.Context, s *Stage) (string, error) {
	port := portOf("worker.ingress.node-exporter")
	type way struct{ from, to plan.Machine }
	var ways []way
	for _, to := range s.Plan.OfRole(contract.Master, contract.Worker) {
		for _, role := range []contract.Role{contract.Master, contract.Worker} {
			from := slices.DeleteFunc(s.Plan.OfRole(role), func(m plan.Machine) bool { return m.Name == to.Name })
			if len(from) > 0 {
				ways = append(ways, way{from[0], to})
			}
		}
	}
	err := each(ways, func(w way) error {
		return s.scrape(ctx, w.from, w.to.Address, port, "node_uname_info{")
	})
	return fmt.Sprintf("%d ways from machines to node exporters of others", len(ways)), err
}

// containerMetrics reads what the cAdvisor of each worker serves from each master.
func containerMetrics(ctx context.Context, s *Stage) (string, error) {
	port := portOf("worker.ingress.cadvisor")
	workers, masters := s.Plan.OfRole(contract.Worker), s.Plan.OfRole(contract.Master)
	err := each(masters, func(from plan.Machine) error {
		return each(workers, func(to plan.Machine) error {
			return s.scrape(ctx, from, to.Address, port, "container_memory_working_set_bytes{")
		})
	})
	return fmt.Sprintf("%d masters read metrics of containers on %d workers", len(masters), len(workers)), err
}

func (s *Stage) scrape(ctx context.Context, from plan.Machine, to netip.Addr, port uint16, contains string) error {
	text, err := s.at(from.Name).get(ctx, nil, "http://"+hostPort(to, port)+"/metrics")
	if err == nil && !strings.Contains(text, contains) {
		err = fmt.Errorf("from %s: %s serves no %s", from.Name, hostPort(to, port), contains)
	}
	return err
}

// resourceMetrics waits till the metrics server says of every machine what it used after the probe began:
// it has then asked each kubelet again. A user asks, as kubectl top does.
func resourceMetrics(ctx context.Context, s *Stage) (string, error) {
	began := time.Now()
	err := until(ctx, time.Second, func() error {
		client, err := s.userClient()
		if err != nil {
			return err
		}
		text, err := client.CoreV1().RESTClient().Get().AbsPath("/apis/metrics.k8s.io/v1beta1/nodes").DoRaw(ctx)
		if err != nil {
			return err
		}
		var list struct {
			Items []struct {
				Metadata  struct{ Name string }
				Timestamp time.Time
			}
		}
		if err := json.Unmarshal(text, &list); err != nil {
			return err
		}
		for _, m := range s.Plan.Machines {
			fresh := false
			for _, one := range list.Items {
				fresh = fresh || one.Metadata.Name == m.Name && one.Timestamp.After(began)
			}
			if !fresh {
				return fmt.Errorf("nothing new is known of what %s uses", m.Name)
			}
		}
		return nil
	})
	return fmt.Sprintf("what %d machines use, %.0f s after it was asked for", len(s.Plan.Machines), time.Since(began).Seconds()), err
}
