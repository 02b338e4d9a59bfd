package cli

import (
	"fmt"
	"time"

	"craton.dev/craton/payload"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/cloudinit"
	"craton.dev/craton/render/dns"
	"craton.dev/craton/render/firstboot"
	"craton.dev/craton/render/haproxy"
	"craton.dev/craton/render/ignition"
	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/nftables"
	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

// rendered is one file that a renderer made.
type rendered struct {
	name string
	text []byte
}

// renderInput is what renderers work on. secrets is nil where the target needs none.
type renderInput struct {
	plan    *plan.Plan
	machine string // "" means each
	secrets *pki.Secrets
}

// target is something that can be rendered.
type target struct {
	name, short, long string
	secret            bool // its files hold keys
	perMachine        bool // it makes a file for each machine
	render            func(in renderInput) ([]rendered, error)
}

func targets() []target {
	return []target{
		{name: "nftables", perMachine: true, render: renderNftables,
			short: "The firewall as an nftables ruleset",
			long: `Render the firewall as an nftables ruleset: default drop both ways, stateful, one named
counter a clause. Without --machine, it is the ruleset of the router between all machines;
with it, that of one machine which guards itself.`},
		{name: "dns", render: renderDNS,
			short: "The cluster's names as a DNS zone",
			long:  `Render the names by which users reach the cluster as a zone file (RFC 1035).`},
		{name: "haproxy", render: renderHAProxy,
			short: "The load balancer's configuration",
			long:  `Render the configuration of a load balancer in front of the API servers, for HAProxy.`},
		{name: "ignition", secret: true, perMachine: true, render: renderFirstBoot(".ign", ignition.Render),
			short: "Machines' first-boot configuration as Ignition",
			long:  `Render the first-boot configuration of one machine or of all as Ignition.`},
		{name: "cloud-init", secret: true, perMachine: true, render: renderFirstBoot(".cloud-config.yaml", cloudinit.Render),
			short: "Machines' first-boot configuration as cloud-init",
			long:  `Render the first-boot configuration of one machine or of all as cloud-init's #cloud-config.`},
		{name: "manifests", secret: true, render: renderManifests,
			short: "The Kubernetes objects that up applies",
			long:  `Render the objects that craton up applies once the API answers, in their order.`},
	}
}

func renderCommand() *cobra.Command {
	cmd := group(&cobra.Command{
		Use:     "render",
		GroupID: groupDesign,
		Short:   "Render a plan for other tools",
		Long: `Render a cluster file's plan in the formats of other tools. Nothing is changed anywhere:
output goes to stdout or, with --out, into a folder, in files that only you can read.`,
		Example: `  craton render nftables
  craton render ignition --machine demo-master-1 --secrets ./secrets
  craton render cloud-init --secrets ./secrets --out ./first-boot`,
	})
	for _, t := range targets() {
		cmd.AddCommand(renderTarget(t))
	}
	return cmd
}

func renderTarget(t target) *cobra.Command {
	var file, machine, out, secrets string
	cmd := &cobra.Command{
		Use:     t.name,
		Short:   t.short,
		Long:    t.long,
		Example: "  craton render " + t.name,
		Args:    noArgs,
	}
	addFileFlag(cmd, &file)
	cmd.Flags().StringVar(&out, "out", "", "write files into this folder instead of stdout")
	_ = cmd.MarkFlagDirname("out")
	if t.perMachine {
		cmd.Flags().StringVar(&machine, "machine", "", "only this machine, by its name in craton plan")
		_ = cmd.RegisterFlagCompletionFunc("machine", completeMachines(&file))
	}
	if t.secret {
		cmd.Example += " --secrets ./secrets"
		cmd.Long += "\n\n" + `It holds keys. They are kept in the folder that --secrets names and made there where they
are missing; the same folder gives the same keys again.`
		cmd.Flags().StringVar(&secrets, "secrets", "", "the folder that keeps the cluster's keys (required)")
		_ = cmd.MarkFlagDirname("secrets")
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if t.secret && secrets == "" {
			return usage("%s holds keys: say with --secrets which folder keeps them (they are made there)", t.name)
		}
		p, err := loadPlan(file)
		if err != nil {
			return err
		}
		in := renderInput{plan: p, machine: machine}
		if err := in.check(file); err != nil {
			return err
		}
		// Before any key is made: several files do not go to stdout.
		if n := len(in.machines()); t.secret && t.perMachine && out == "" && n > 1 {
			return usage("there are %d machines: name one with --machine, or a folder with --out", n)
		}
		if t.secret {
			if in.secrets, err = pki.Ensure(secrets, p, time.Now()); err != nil {
				return err
			}
		}
		files, err := t.render(in)
		if err != nil {
			return err
		}
		return emit(cmd.OutOrStdout(), out, files)
	}
	return cmd
}

// check refuses a machine that the plan does not have.
func (in renderInput) check(file string) error {
	if in.machine == "" {
		return nil
	}
	for _, m := range in.plan.Machines {
		if m.Name == in.machine {
			return nil
		}
	}
	return usage("%s has no machine %q: craton plan%s lists them", file, in.machine, fileFlag(file))
}

// machines are those to render for.
func (in renderInput) machines() []plan.Machine {
	if in.machine == "" {
		return in.plan.Machines
	}
	for _, m := range in.plan.Machines {
		if m.Name == in.machine {
			return []plan.Machine{m}
		}
	}
	return nil
}

func renderNftables(in renderInput) ([]rendered, error) {
	if in.machine == "" {
		return []rendered{{in.plan.Cluster + ".nft", nftables.Fabric(in.plan, nftables.Options{})}}, nil
	}
	text, err := nftables.Machine(in.plan, in.machine)
	return []rendered{{in.machine + ".nft", text}}, err
}

func renderDNS(in renderInput) ([]rendered, error) {
	text, err := dns.Zone(in.plan)
	return []rendered{{in.plan.Cluster + ".zone", text}}, err
}

func renderHAProxy(in renderInput) ([]rendered, error) {
	if !in.plan.Network.LoadBalancer.IsValid() {
		return nil, usage("the cluster file says loadBalancer: false, so there is no load balancer to configure")
	}
	text, err := haproxy.Config(in.plan, haproxy.Options{CAFile: "/etc/haproxy/kubernetes-ca.crt"})
	return []rendered{{"haproxy.cfg", text}}, err
}

// renderFirstBoot makes a file a machine. Registries are those of the world: the embedded
// platform's own is only known to the platform.
func renderFirstBoot(ending string, write func(*firstboot.Config) ([]byte, error)) func(renderInput) ([]rendered, error) {
	return func(in renderInput) ([]rendered, error) {
		var files []rendered
		for _, m := range in.machines() {
			config, err := firstBoot(in, m)
			if err != nil {
				return nil, err
			}
			text, err := write(config)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", m.Name, err)
			}
			files = append(files, rendered{m.Name + ending, text})
		}
		return files, nil
	}
}

func renderManifests(in renderInput) ([]rendered, error) {
	objects, err := manifests.Objects(in.plan, in.secrets, payload.Image, time.Now().Add(time.Hour))
	if err != nil {
		return nil, err
	}
	var text []byte
	for _, o := range objects {
		one, err := yaml.Marshal(o)
		if err != nil {
			return nil, err
		}
		text = append(append(text, "---\n"...), one...)
	}
	return []rendered{{in.plan.Cluster + ".yaml", text}}, nil
}
