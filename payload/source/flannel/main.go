//go:build ignore

// flanneld gives each machine's pods a way to the pods of the other machines: flannel's
// own VXLAN backend and Kubernetes subnet manager, and nothing else of it. Upstream's
// main brings every backend and a CNI plugin that only passes its arguments on; this
// one writes the CNI configuration itself, as soon as the machine has its pod network.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/flannel-io/flannel/pkg/backend"
	"github.com/flannel-io/flannel/pkg/backend/vxlan"
	"github.com/flannel-io/flannel/pkg/ip"
	"github.com/flannel-io/flannel/pkg/subnet"
	"github.com/flannel-io/flannel/pkg/subnet/kube"
	"github.com/flannel-io/flannel/pkg/trafficmngr/nftables"
	"k8s.io/klog/v2"
)

type options struct {
	address, network, kubeconfig, apiURL, cni, healthz string
	port, vni                                          int
}

func main() {
	var o options
	flag.StringVar(&o.address, "iface", "", "this machine's `address`: VXLAN packets leave from it")
	flag.StringVar(&o.network, "network", "", "the pods' network, all machines together, as a `CIDR`")
	flag.IntVar(&o.port, "port", 0, "the UDP `port` of VXLAN: which one is in the contract")
	flag.IntVar(&o.vni, "vni", 1, "the VXLAN network's `number`; the interface is flannel.<number>")
	flag.StringVar(&o.kubeconfig, "kubeconfig", "", "a kubeconfig `file`; without one, the pod's service account")
	flag.StringVar(&o.apiURL, "api", "", "the API server's `URL`, where it is not what the kubeconfig says")
	flag.StringVar(&o.cni, "cni-config", "/etc/cni/net.d/10-flannel.conflist", "the CNI configuration `file` to write")
	flag.StringVar(&o.healthz, "healthz", "127.0.0.1:10246", "the `address` of /healthz, which answers 200 once pods can start")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "flanneld:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if o.port == 0 {
		return errors.New("-port is missing: expected the UDP port of VXLAN")
	}
	outside, err := interfaceOf(o.address)
	if err != nil {
		return err
	}
	config, manager, err := subnetManager(ctx, o)
	if err != nil {
		return err
	}
	var ready atomic.Bool
	if err := serveHealth(ctx, o.healthz, &ready); err != nil {
		return err
	}

	var wg sync.WaitGroup
	be, err := vxlan.New(manager, outside)
	if err != nil {
		return err
	}
	network, err := register(ctx, &wg, be, config)
	if err != nil {
		return err
	}
	rules := &nftables.NFTablesManager{}
	if err := rules.Init(ctx); err != nil {
		return err
	}
	var none4 ip.IP4Net
	var none6 ip.IP6Net
	if err := rules.SetupAndEnsureMasqRules(ctx, config.Network, none4, none4, none6, none6, none6,
		network.Lease(), 0, false); err != nil {
		return err
	}
	rules.SetupAndEnsureForwardRules(ctx, config.Network, none6, 0)

	running := make(chan struct{})
	go func() { defer close(running); network.Run(ctx) }()
	if err := writeCNI(o.cni, network.Lease().Subnet.String(), network.MTU()); err != nil {
		return err
	}
	if err := manager.CompleteLease(ctx, network.Lease(), &wg); err != nil {
		return fmt.Errorf("tell the API that the network is up: %w", err)
	}
	ready.Store(true)
	klog.Infof("pods of this machine are in %s, MTU %d", network.Lease().Subnet, network.MTU())
	<-running
	wg.Wait()
	if ctx.Err() == nil {
		return errors.New("the VXLAN backend ended by itself")
	}
	return nil
}

// register waits until the machine has its pod network: a new Node gets one only when
// the controller manager has seen it.
func register(ctx context.Context, wg *sync.WaitGroup, be backend.Backend, c *subnet.Config) (backend.Network, error) {
	for {
		n, err := be.RegisterNetwork(ctx, wg, c)
		if err == nil {
			return n, nil
		}
		klog.Infof("no pod network yet: %v", err)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// subnetManager hands flannel its configuration, which it takes from a file only.
func subnetManager(ctx context.Context, o options) (*subnet.Config, subnet.Manager, error) {
	if _, _, err := net.ParseCIDR(o.network); err != nil {
		return nil, nil, fmt.Errorf("-network: %w", err)
	}
	data, err := json.Marshal(map[string]any{
		"Network":        o.network,
		"EnableNFTables": true,
		"Backend":        map[string]any{"Type": "vxlan", "Port": o.port, "VNI": o.vni},
	})
	if err != nil {
		return nil, nil, err
	}
	f, err := os.CreateTemp("", "net-conf-*.json")
	if err != nil {
		return nil, nil, err
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(data); err != nil {
		return nil, nil, err
	}
	if err := f.Close(); err != nil {
		return nil, nil, err
	}
	config, err := subnet.ParseConfig(string(data))
	if err != nil {
		return nil, nil, err
	}
	m, err := kube.NewSubnetManager(ctx, o.apiURL, o.kubeconfig, "flannel.alpha.coreos.com", f.Name(), true)
	return config, m, err
}

func interfaceOf(address string) (*backend.ExternalInterface, error) {
	want := net.ParseIP(address)
	if want == nil {
		return nil, fmt.Errorf("-iface %q is not an address", address)
	}
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for _, i := range all {
		addrs, err := i.Addrs()
		if err != nil {
			continue // the interface has just gone
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.IP.Equal(want) {
				return &backend.ExternalInterface{Iface: &i, IfaceName: i.Name, IfaceAddr: want, ExtAddr: want}, nil
			}
		}
	}
	return nil, fmt.Errorf("no interface of this machine has the address %s", address)
}

// writeCNI replaces the file at once: a container runtime that reads half of it would
// take the network for broken. ptp rather than a bridge: every packet of a pod is
// routed by its machine, so that answers take the way back through the service rules
// without br_netfilter, which a host need not have.
func writeCNI(path, subnet string, mtu int) error {
	data, err := json.MarshalIndent(map[string]any{
		"cniVersion": "1.0.0",
		"name":       "pods",
		"plugins": []any{
			map[string]any{
				"type": "ptp",
				"mtu":  mtu,
				"ipam": map[string]any{
					"type":    "host-local",
					"ranges":  []any{[]any{map[string]any{"subnet": subnet}}},
					"routes":  []any{map[string]any{"dst": "0.0.0.0/0"}},
					"dataDir": "/run/cni/ipam",
				},
			},
			map[string]any{"type": "portmap", "backend": "nftables", "capabilities": map[string]bool{"portMappings": true}},
		},
	}, "", "  ")
	if err != nil {
		return err
	}
	tmp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	if err := os.WriteFile(tmp, append(data, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

func serveHealth(ctx context.Context, address string, ready *atomic.Bool) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("-healthz: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready.Load() {
			http.Error(w, "no pod network yet", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { <-ctx.Done(); s.Close() }()
	go s.Serve(l)
	return nil
}
