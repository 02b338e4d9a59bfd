package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"craton.dev/craton/contract"
	"craton.dev/craton/machines"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/dns"
	"craton.dev/craton/render/firstboot"
	"craton.dev/craton/render/haproxy"
)

// Names of the surroundings' processes.
const (
	processResolver = "resolver"
	processRegistry = "registry"
	processBalancer = "load-balancer"
	processGateway  = "gateway"
)

// settle is how long a program of the surroundings gets to come up.
const settle = 15 * time.Second

// startSurroundings starts what is not running, and starts anew what has to be told of a
// change and cannot see it by itself.
func (p *Platform) startSurroundings(ctx context.Context, pl *plan.Plan) error {
	if err := p.startResolver(pl); err != nil {
		return err
	}
	if err := p.startRegistry(pl); err != nil {
		return err
	}
	if err := p.Balance(ctx, pl); err != nil {
		return err
	}
	if err := p.startEtcd(ctx, pl); err != nil {
		return err
	}
	ways, err := p.forwards(pl)
	if err != nil {
		return err
	}
	if err := p.startGateway(pl, ways); err != nil {
		return err
	}
	for _, s := range []struct {
		process string
		address netip.AddrPort
	}{
		{processRegistry, netip.AddrPortFrom(pl.Network.Registry, registryPort)},
		{processResolver, netip.AddrPortFrom(pl.Network.Resolvers[0], resolverPort)},
	} {
		if err := p.awaitListener(ctx, s.process, s.address); err != nil {
			return err
		}
	}
	for _, f := range ways {
		if err := p.awaitGateway(ctx, f.Port); err != nil {
			return err
		}
	}
	return nil
}

// The ports that the world's registries and resolvers have.
const (
	registryPort = 443
	resolverPort = 53
)

// keep makes a background process run with exactly these inputs: where it runs with
// others it is started anew.
func (p *Platform) keep(name, namespace string, argv []string, inputs []byte, prepare func(*exec.Cmd)) error {
	proc := p.process(name)
	inputs = append([]byte(fmt.Sprintf("%q\n", argv)), inputs...)
	file := p.path("run", name+".inputs")
	before, err := os.ReadFile(file)
	if err == nil && string(before) == string(inputs) && proc.alive() {
		return nil
	}
	if err := proc.stop(2 * time.Second); err != nil {
		return err
	}
	if err := p.start(name, namespace, argv, prepare); err != nil {
		return err
	}
	return writeFile(file, inputs, 0o600)
}

// zoneFile holds the resolver's names. Once the gateway runs, it alone writes them: it
// knows who answers.
func (p *Platform) zoneFile() string { return p.path("resolver", "zone") }

func (p *Platform) startResolver(pl *plan.Plan) error {
	dir := p.path("resolver")
	zone := p.zoneFile()
	if _, err := os.Stat(zone); errors.Is(err, os.ErrNotExist) {
		records, err := dns.Zone(pl)
		if err != nil {
			return err
		}
		if err := writeFile(zone, records, 0o644); err != nil {
			return err
		}
	}
	core := dns.Corefile(dns.Options{
		Origin: dns.Origin(pl), ZoneFile: zone, Listen: pl.Network.Resolvers[0],
		RegistryHosts: firstboot.RegistryHosts(), Registry: pl.Network.Registry,
	})
	corefile := filepath.Join(dir, "Corefile")
	if err := writeFile(corefile, core, 0o644); err != nil {
		return err
	}
	// The zone is read again by itself when it changes.
	return p.keep(processResolver, outsideNS, []string{p.Image.ResolverProgram, "-conf", corefile}, core, nil)
}

// Facts implements machines.Platform. The machines' root can do what this process can.
func (p *Platform) Facts(ctx context.Context) (machines.Facts, error) {
	bounded, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, unix.CAP_SYS_RESOURCE, 0, 0, 0)
	if err != nil {
		return machines.Facts{}, fmt.Errorf("read this process's capabilities: %w", err)
	}
	return machines.Facts{RegistryCA: p.RegistryAuthority.Cert, NoSysResource: bounded == 0}, nil
}

func (p *Platform) startRegistry(pl *plan.Plan) error {
	dir := p.path("registry")
	cert, key := filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key")
	config := map[string]any{
		"version": 0.1,
		"log":     map[string]any{"level": "warn", "accesslog": map[string]any{"disabled": true}},
		"storage": map[string]any{
			"filesystem":  map[string]any{"rootdirectory": p.Image.Registry},
			"maintenance": map[string]any{"readonly": map[string]any{"enabled": true}},
			"cache":       map[string]any{"blobdescriptor": "inmemory"},
		},
		"http": map[string]any{
			"addr":   net.JoinHostPort(pl.Network.Registry.String(), strconv.Itoa(registryPort)),
			"secret": "read-only", // signs upload states, and there are no uploads
			"tls":    map[string]any{"certificate": cert, "key": key, "minimumtls": "tls1.2"},
		},
	}
	b, err := json.Marshal(config) // JSON is YAML
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "config.yml")
	if !p.process(processRegistry).alive() {
		pair, err := pki.IssueServer(p.RegistryAuthority, firstboot.RegistryHosts(), []netip.Addr{pl.Network.Registry}, time.Now())
		if err != nil {
			return err
		}
		if err := errors.Join(writeFile(cert, pair.Cert, 0o644), writeFile(key, pair.Key, 0o600)); err != nil {
			return err
		}
	}
	if err := writeFile(file, b, 0o644); err != nil {
		return err
	}
	return p.keep(processRegistry, outsideNS, []string{p.Image.RegistryProgram, "serve", file}, b,
		func(cmd *exec.Cmd) { cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none") })
}

// Balance has the load balancer, where there is one, lead to the plan's machines and to no others.
// Prepare does so too; by itself it is for masters that leave the plan, before they leave etcd: their
// API servers can do nothing then, and a load balancer that asks the kubelet does not see it.
func (p *Platform) Balance(ctx context.Context, pl *plan.Plan) error {
	if !pl.Network.LoadBalancer.IsValid() {
		return nil
	}
	dir := p.path("load-balancer")
	if err := writeFile(filepath.Join(dir, "ca.crt"), p.APIAuthority, 0o644); err != nil {
		return err
	}
	config, err := haproxy.Config(pl, haproxy.Options{CAFile: filepath.Join(dir, "ca.crt")})
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "haproxy.cfg")
	if err := writeFile(file, config, 0o644); err != nil {
		return err
	}
	program, err := exec.LookPath("haproxy")
	if err != nil {
		return fmt.Errorf("%w; install the package haproxy", err)
	}
	return p.keep(processBalancer, balancer, []string{program, "-db", "-f", file}, config, nil)
}

// forwards are the host's loopback ports and where they lead.
func (p *Platform) forwards(pl *plan.Plan) ([]forward, error) {
	var ways []forward
	for _, way := range []struct {
		purpose string
		targets []netip.AddrPort
	}{{purposeAPI, apiAddresses(pl)}, {purposeConsole, pl.IngressAddresses()}} {
		if len(way.targets) == 0 {
			continue
		}
		port, err := p.loopbackPort(way.purpose)
		if err != nil {
			return nil, err
		}
		ways = append(ways, forward{Purpose: way.purpose, Port: port, Targets: way.targets})
	}
	return ways, nil
}

// startGateway opens the host's loopback ports, and has the names kept.
func (p *Platform) startGateway(pl *plan.Plan, ways []forward) error {
	if proc := p.process(processGateway); !proc.alive() {
		err := proc.stop(0)
		for _, f := range ways {
			err = errors.Join(err, p.portFree(f.Purpose, f.Port))
		}
		if err != nil {
			return err
		}
	}
	who, err := askedOf(pl)
	if err != nil {
		return err
	}
	spec, err := json.Marshal(gatewaySpec{
		Cluster: p.Cluster, Dir: p.Dir,
		Forward: ways,
		Zone:    p.zoneFile(), Names: plan.Plan{Network: pl.Network, Names: pl.Names},
		Asked: who, APIAuthority: p.APIAuthority,
	})
	if err != nil {
		return err
	}
	file := p.path("run", "gateway.json")
	if err := writeFile(file, spec, 0o600); err != nil {
		return err
	}
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	return p.keep(processGateway, "", []string{p.Self, GatewayCommand}, spec, func(cmd *exec.Cmd) { cmd.Stdin = in })
}

// apiAddresses are where the user network finds the API.
func apiAddresses(pl *plan.Plan) []netip.AddrPort {
	if pl.Network.LoadBalancer.IsValid() {
		return []netip.AddrPort{netip.AddrPortFrom(pl.Network.LoadBalancer, pl.Network.APIPort)}
	}
	var all []netip.AddrPort
	for _, m := range pl.OfRole(contract.Master) {
		all = append(all, netip.AddrPortFrom(m.Address, pl.Network.APIPort))
	}
	return all
}

// awaitListener waits till a process of the outside network accepts connections, seen
// from inside that network.
func (p *Platform) awaitListener(ctx context.Context, process string, at netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	for {
		conn, err := p.dialFrom(outsideNS, func() (net.Conn, error) {
			return net.DialTimeout("tcp4", at.String(), time.Second)
		})
		if err == nil {
			return conn.Close()
		}
		proc := p.process(process)
		if !proc.alive() {
			return fmt.Errorf("the %s ended: %s; its log is %s", process, lastLine(proc.log), proc.log)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the %s does not answer on %s after %s: %w; its log is %s", process, at, settle, err, proc.log)
		case <-time.After(15 * time.Millisecond):
		}
	}
}

// surroundings are the background processes beside the machines, in the order in which
// they are stopped.
func (p *Platform) surroundings() []string {
	return append([]string{processGateway, processBalancer, processRegistry, processResolver}, p.etcdProcesses()...)
}

func (p *Platform) stopSurroundings() error {
	var errs []error
	for _, name := range p.surroundings() {
		errs = append(errs, p.process(name).stop(2*time.Second))
	}
	return errors.Join(errs...)
}
