package bootstrap

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"craton.dev/craton/cluster"
	"craton.dev/craton/contract"
	"craton.dev/craton/machines/local"
	"craton.dev/craton/payload"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/cloudinit"
	"craton.dev/craton/render/firstboot"
	"craton.dev/craton/render/ignition"
	"craton.dev/craton/render/manifests"
	"craton.dev/craton/render/parts"
)

// upSteps are what Up does, in this order. Each can be stopped anywhere and run again.
func (c *Cluster) upSteps() []step {
	return []step{
		{"payload", c.buildPayload},
		{"secrets", c.makeSecrets},
		{"record", func(context.Context) error { return c.record() }},
		{"plan", c.tellPlan},
		{"surroundings", c.prepare},
		{"machines", c.startMachines},
		{"api", c.foundCluster},
		{"objects", c.applyObjects},
		{"ready", c.awaitReady},
		{"seed", c.endSeed},
	}
}

// Steps are the names of Up's steps, in order.
func Steps() []string { return names((&Cluster{}).upSteps()) }

// Up brings the cluster of the file up, or what runs of it to what the file says now.
// What cannot be changed on a running cluster is refused before anything is touched.
func Up(ctx context.Context, file *cluster.Cluster, opt Options) (*Cluster, error) {
	c, err := named(file.Name, opt)
	if err != nil {
		return nil, err
	}
	if c.Plan, err = c.planOf(file); err != nil {
		return nil, err
	}
	if c.Platform, err = local.New(c.Name, filepath.Join(c.Dir, "local"), local.Image{}); err != nil {
		return nil, err
	}
	if err := c.acquire(ctx, lockPatience); err != nil {
		return nil, c.trouble(ctx, stepLock, err)
	}
	defer c.release()
	before, err := c.recorded()
	if err != nil {
		return nil, err
	}
	if before != nil {
		if err := changeable(before, file); err != nil {
			return nil, err
		}
	}
	if err := c.preflight(ctx); err != nil {
		return nil, err
	}
	if err := c.mayShrink(ctx, before); err != nil {
		return nil, err
	}
	err = c.perform(ctx, "up", c.upSteps(), func(step string, err error) error { return c.trouble(ctx, step, err) })
	if err != nil {
		return nil, err
	}
	if _, err := c.KubeconfigFile(); err != nil { // for kubectl, and for Publish
		return nil, err
	}
	return c, nil
}

func (c *Cluster) buildPayload(ctx context.Context) error {
	want := append(payload.Default(), parts.Payload(c.Plan)...)
	built, err := payload.Build(ctx, payload.Options{Cache: c.opt.Cache, Want: want, Progress: func(e payload.Event) {
		switch e.State {
		case payload.Started:
			c.opt.say("building %s", e.Component)
		case payload.Built:
			c.opt.say("built %s in %.0f s", e.Component, e.Seconds)
		}
	}})
	if err != nil {
		return err
	}
	c.usePayload(built)
	return nil
}

func (c *Cluster) usePayload(built *payload.Payload) {
	c.payload = built
	c.Platform.Image = local.Image{
		Layers:          []string{built.NodeFS, built.RootFS},
		Registry:        built.RegistryRoot,
		RegistryProgram: built.HostBin("registry"),
		ResolverProgram: built.HostBin("coredns"),
		EtcdProgram:     built.HostBin("etcd"),
	}
}

func (c *Cluster) makeSecrets(ctx context.Context) (err error) {
	if err := c.Platform.PrepareEtcd(c.Plan); err != nil {
		return err
	}
	c.Secrets, err = pki.Ensure(filepath.Join(c.Dir, "pki"), c.Plan, time.Now())
	if err != nil {
		return err
	}
	if err := c.firstAdministrator(); err != nil {
		return err
	}
	c.Platform.RegistryAuthority = c.Secrets.Registry
	c.Platform.APIAuthority = c.Secrets.Authorities[pki.KubernetesCA].Cert
	return c.renewCertificates(ctx)
}

func (c *Cluster) prepare(ctx context.Context) error {
	if err := c.removeSurplus(ctx); err != nil {
		return err
	}
	c.opt.say("network, names, registry and load balancer")
	if err := c.Platform.Prepare(ctx, c.Plan); err != nil {
		return err
	}
	if err := c.PutBack(); err != nil {
		return err
	}
	return c.prepareEtcd(ctx)
}

// startMachines starts the machines that do not run, several at a time.
func (c *Cluster) startMachines(ctx context.Context) error {
	off, err := c.off(ctx)
	if err != nil {
		return err
	}
	if err := c.Platform.Room(off); err != nil {
		return err
	}
	group, starting := errgroup.WithContext(ctx)
	group.SetLimit(4)
	answers := sync.OnceValue(func() bool { return c.answers(starting) })
	for _, m := range off {
		group.Go(func() error {
			c.opt.say("starting %s (%s)", m.Name, m.Address)
			config, err := c.firstBoot(starting, m, c.bring(m, answers))
			if err != nil {
				return err
			}
			return c.Platform.Start(starting, m, config)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return c.renewCertificates(ctx) // of those that were off
}

// bring is how a machine is to start where nothing has been lost. Only for a master is it asked
// whether the API answers: another machine starts in the same way, and does not wait for that.
func (c *Cluster) bring(m plan.Machine, answers func() bool) manifests.Bring {
	first := m.Name == c.Plan.Machines[0].Name // masters come first
	if !c.founded() {
		return manifests.Bring{Founding: first, Joining: !first}
	}
	return manifests.Bring{Joining: m.Role == contract.Master && answers()}
}

// firstBoot is the machine's first-boot configuration in the format that the file asks for.
func (c *Cluster) firstBoot(ctx context.Context, m plan.Machine, how manifests.Bring) ([]byte, error) {
	facts, err := c.Platform.Facts(ctx)
	if err != nil {
		return nil, err
	}
	opt := firstboot.Options{
		PauseImage: payload.Image("pause"), RegistryCA: facts.RegistryCA, RestrictOOMScoreAdj: facts.NoSysResource,
	}
	authority := c.Secrets.Authorities[pki.KubernetesCA]
	how.Authority = authority.Cert
	if how.Founding {
		if opt.KubeletClient, err = pki.IssueKubelet(authority, m.Name, time.Now()); err != nil {
			return nil, fmt.Errorf("%s: its kubelet's certificate: %w", m.Name, err)
		}
	}
	if err := manifests.FirstBoot(&opt, c.Plan, &m, payload.Image, how); err != nil {
		return nil, err
	}
	config, err := firstboot.For(c.Plan, m.Name, c.Secrets, opt)
	if err != nil {
		return nil, err
	}
	if c.Plan.File.FirstBoot == "cloud-init" {
		return cloudinit.Render(config)
	}
	return ignition.Render(config)
}
