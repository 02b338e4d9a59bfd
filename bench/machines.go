package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/command"
	"craton.dev/craton/machines/local"
	"craton.dev/craton/payload"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
	"craton.dev/craton/render/ignition"
)

// bare is a cluster's machines as somebody who uses kubeadm has them: booted from the same
// image by the same platform, with a container runtime, a kubelet that waits for its
// configuration, and a network that lets everything pass.
type bare struct {
	plan     *plan.Plan
	secrets  *pki.Secrets
	platform *local.Platform
	built    *payload.Payload
}

// newBare prepares what needs no machine: the payload and the platform's keys.
func (b *bench) newBare(ctx context.Context, file string) (*bare, error) {
	p, err := planIn(file)
	if err != nil {
		return nil, err
	}
	m := &bare{plan: p}
	m.built, err = payload.Build(ctx, payload.Options{Want: append(payload.Default(), "kubeadm")})
	if err != nil {
		return nil, err
	}
	state := filepath.Join(bootstrap.StateRoot, p.Cluster)
	if m.secrets, err = pki.Ensure(filepath.Join(state, "pki"), p, time.Now()); err != nil {
		return nil, err
	}
	m.platform = &local.Platform{
		Cluster: p.Cluster, Dir: filepath.Join(state, "local"), Self: b.craton,
		Image: local.Image{
			Layers: []string{m.built.NodeFS, m.built.RootFS}, Registry: m.built.RegistryRoot,
			RegistryProgram: m.built.HostBin("registry"), ResolverProgram: m.built.HostBin("coredns"),
		},
		RegistryAuthority: m.secrets.Registry,
		APIAuthority:      m.secrets.Authorities[pki.KubernetesCA].Cert,
	}
	// `craton down` has to know the cluster, also where this run is killed.
	return m, os.MkdirAll(m.platform.Dir, 0o700)
}

// boot starts the surroundings and the machines, and waits for their container runtimes.
func (m *bare) boot(ctx context.Context) error {
	if err := m.platform.Prepare(ctx, m.plan); err != nil {
		return err
	}
	_, err := command.Run(ctx, "nsenter", "--net=/run/netns/craton-"+m.plan.Cluster+"-fabric", "nft", "flush", "ruleset")
	if err != nil {
		return err
	}
	facts, err := m.platform.Facts(ctx)
	if err != nil {
		return err
	}
	opt := firstboot.Options{
		PauseImage: payload.Image("pause"), RegistryCA: facts.RegistryCA, RestrictOOMScoreAdj: facts.NoSysResource,
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, machine := range m.plan.Machines {
		group.Go(func() error {
			config, err := firstboot.For(m.plan, machine.Name, m.secrets, opt)
			if err != nil {
				return err
			}
			text, err := ignition.Render(withoutCraton(config))
			if err != nil {
				return err
			}
			if err := m.platform.Start(ctx, machine, text); err != nil {
				return err
			}
			return m.on(ctx, machine, nil, "sh", "-c", "until ctr version >/dev/null 2>&1; do sleep 0.1; done")
		})
	}
	return group.Wait()
}

// withoutCraton leaves of a machine's configuration what has nothing to do with how craton
// sets Kubernetes up, and a kubelet as kubeadm's packages have it.
func withoutCraton(c *firstboot.Config) *firstboot.Config {
	out := &firstboot.Config{Hostname: c.Hostname}
	for _, f := range c.Files {
		if !strings.HasPrefix(f.Path, "/etc/kubernetes/") {
			out.Files = append(out.Files, f)
		}
	}
	for _, u := range c.Units {
		if u.Name == "kubelet.service" {
			u.Contents = kubeadmKubelet
		}
		out.Units = append(out.Units, u)
	}
	return out
}

// kubeadmKubelet is the unit of the kubelet's and kubeadm's packages in one.
const kubeadmKubelet = `[Unit]
Description=Kubelet
Wants=containerd.service
After=containerd.service
StartLimitIntervalSec=0

[Service]
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
ExecStart=/usr/local/bin/kubelet \
  --bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf \
  --kubeconfig=/etc/kubernetes/kubelet.conf \
  --config=/var/lib/kubelet/config.yaml $KUBELET_KUBEADM_ARGS
KillMode=process
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
`

// on runs a command on a machine, with input. An error shows the end of what it printed.
func (m *bare) on(ctx context.Context, machine plan.Machine, input []byte, argv ...string) error {
	var out bytes.Buffer
	err := m.platform.Exec(ctx, machine.Name, argv, bytes.NewReader(input), &out, &out)
	if err != nil {
		text := out.String()
		return fmt.Errorf("%s: %s: %w; it printed:\n%s", machine.Name, strings.Join(argv, " "), err, text[max(0, len(text)-3000):])
	}
	return nil
}

// write puts a file on a machine.
func (m *bare) write(ctx context.Context, machine plan.Machine, path, mode string, data []byte) error {
	return m.on(ctx, machine, data, "sh", "-c", "cat >"+path+" && chmod "+mode+" "+path)
}

// pull makes a machine pull components' images from the fabric's registry, all at once, as
// craton's kubelets do.
func (m *bare) pull(ctx context.Context, machine plan.Machine, components ...string) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, c := range components {
		group.Go(func() error {
			return m.on(ctx, machine, nil, "ctr", "--namespace=k8s.io", "images", "pull",
				"--hosts-dir=/etc/containerd/certs.d", payload.Image(c))
		})
	}
	return group.Wait()
}

// documents are objects as a stream of JSON documents, which is YAML.
func documents(objects ...any) ([]byte, error) {
	var out bytes.Buffer
	for _, o := range objects {
		b, err := json.Marshal(o)
		if err != nil {
			return nil, err
		}
		out.WriteString("---\n")
		out.Write(append(b, '\n'))
	}
	return out.Bytes(), nil
}
