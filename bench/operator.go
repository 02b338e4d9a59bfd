package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"craton.dev/craton/bootstrap"
	"craton.dev/craton/contract"
	"craton.dev/craton/payload"
	"craton.dev/craton/pki"
	"craton.dev/craton/plan"
	"craton.dev/craton/render/firstboot"
	"craton.dev/craton/render/manifests"
)

// operatorSettles is how long the operator runs before its memory is looked at: it gives
// back what it needed only for its start.
const operatorSettles = 40 * time.Second

// operator measures what craton's operator needs in a cluster of the largest size: a real
// API server with that many Nodes, and the operator's program beside it. There are no
// machines: it is told about them, and it watches their Nodes.
func (b *bench) operator(ctx context.Context) error {
	const name = "operator"
	p, err := planOf("bench"+name, largest)
	if err != nil {
		return err
	}
	return b.withAPI(ctx, name, p, func(ctx context.Context, api *bareAPI) error {
		built, err := payload.Build(ctx, payload.Options{Want: []string{payload.Operator}})
		if err != nil {
			return err
		}
		admin, err := api.config(p, bootstrap.Admin)
		if err != nil {
			return err
		}
		if err := fillCluster(ctx, admin, p, api.secrets); err != nil {
			return err
		}
		kubeconfig, err := api.kubeconfig(p, payload.Operator)
		if err != nil {
			return err
		}
		path := filepath.Join(b.dir, name+".kubeconfig")
		if err := os.WriteFile(path, kubeconfig, 0o600); err != nil {
			return err
		}
		settings, err := operatorSettings(p)
		if err != nil {
			return err
		}
		background(ctx, api.group, name, "env", append(settings, built.HostBin(payload.Operator), "--kubeconfig="+path, "--leader-elect=true")...)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(operatorSettles):
		}
		pid, err := processOf(path)
		if err != nil {
			return err
		}
		b.samples.add("memory operator", float64(statusBytes(pid, "VmRSS")))
		return nil
	})
}

// operatorSettings are the environment that the operator has on a master.
func operatorSettings(p *plan.Plan) ([]string, error) {
	files, err := manifests.MasterFiles(p, first(p, contract.Master).Name, payload.Image, manifests.Bring{Founding: true})
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if f.Path != firstboot.ManifestDir+"/"+payload.Operator+".yaml" {
			continue
		}
		pod := &corev1.Pod{}
		if err := yaml.Unmarshal(f.Contents, pod); err != nil {
			return nil, err
		}
		var settings []string
		for _, e := range pod.Spec.Containers[0].Env {
			settings = append(settings, e.Name+"="+e.Value)
		}
		return settings, nil
	}
	return nil, fmt.Errorf("a master has no static pod of %s", payload.Operator)
}

// kubeconfig is that of one of the plan's identities, by the name before its machine's.
func (a *bareAPI) kubeconfig(p *plan.Plan, identity string) ([]byte, error) {
	for name, pair := range a.secrets.Pairs {
		if name == identity || strings.HasPrefix(name, identity+"-") {
			return pki.Kubeconfig(pki.Client{
				Server: "https://" + a.address, TLSServerName: p.Network.APIServer,
				CA: a.secrets.Authorities[plan.KubernetesCA].Cert, Pair: pair, Context: p.Cluster, User: identity,
			})
		}
	}
	return nil, fmt.Errorf("the plan has no identity %s", identity)
}

// config is the same for this process, which is in another namespace.
func (a *bareAPI) config(p *plan.Plan, identity string) (*rest.Config, error) {
	kubeconfig, err := a.kubeconfig(p, identity)
	if err != nil {
		return nil, err
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		return nil, err
	}
	config.Dial, config.QPS, config.WarningHandler = dialFrom(a.ns), -1, rest.NoWarnings{}
	return config, nil
}

// fillCluster applies what `up` does, but the secrets, which the operator does not read,
// and makes a Node of each machine as its kubelet would leave it.
func fillCluster(ctx context.Context, config *rest.Config, p *plan.Plan, secrets *pki.Secrets) error {
	objects, err := manifests.Objects(p, secrets, payload.Image, time.Now().Add(time.Hour))
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if o.GetKind() == "Secret" {
			continue
		}
		resource, _ := meta.UnsafeGuessKindToResource(o.GroupVersionKind())
		if _, err := client.Resource(resource).Namespace(o.GetNamespace()).
			Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: manifests.FieldManager, Force: true}); err != nil {
			return fmt.Errorf("apply %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for _, m := range p.Machines {
		group.Go(func() error {
			_, err := typed.CoreV1().Nodes().Create(ctx, node(m), metav1.CreateOptions{})
			return err
		})
	}
	return group.Wait()
}

// node is as large as a real one: most of it are the images.
func node(m plan.Machine) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: m.Name, Labels: map[string]string{
		corev1.LabelHostname: m.Name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
	}}}
	for k, v := range m.Labels {
		n.Labels[k] = v
	}
	n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: m.Address.String()}}
	n.Status.Capacity = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("16Gi")}
	for i := range 30 {
		n.Status.Images = append(n.Status.Images, corev1.ContainerImage{
			Names: []string{"registry.example.com/team/application-" + strconv.Itoa(i) + ":v1.0.0"}, SizeBytes: 100 << 20,
		})
	}
	return n
}

// processOf finds the operator's process that has this in its command line. Others may have
// it there too, such as the program by which the operator is put into its cgroup: those go by
// another name.
func processOf(argument string) (pid int, err error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		line, _ := os.ReadFile(file)
		argv := strings.Split(string(line), "\x00")
		if filepath.Base(argv[0]) == payload.Operator && strings.Contains(string(line), argument) {
			return strconv.Atoi(filepath.Base(filepath.Dir(file)))
		}
	}
	return 0, fmt.Errorf("%s does not run any more", payload.Operator)
}
