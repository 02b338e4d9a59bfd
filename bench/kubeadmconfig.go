package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"os"
	"strings"

	"golang.org/x/sync/errgroup"

	"craton.dev/craton/contract"
	"craton.dev/craton/payload"
	"craton.dev/craton/plan"
)

// installKubeadm puts kubeadm and its configuration on the machines.
func (m *bare) installKubeadm(ctx context.Context) error {
	program, err := os.ReadFile(m.built.HostBin("kubeadm"))
	if err != nil {
		return err
	}
	key, err := certificateKey()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, machine := range m.plan.Machines {
		group.Go(func() error {
			if err := m.write(ctx, machine, "/usr/local/bin/kubeadm", "0755", program); err != nil {
				return err
			}
			config, err := m.kubeadmConfig(machine, key)
			if err != nil {
				return err
			}
			return m.write(ctx, machine, kubeadmFile, "0600", config)
		})
	}
	return group.Wait()
}

// tag is the part of a component's image after its colon.
func tag(component string) string {
	image := payload.Image(component)
	return image[strings.LastIndex(image, ":")+1:]
}

// repository is the part of a component's image before its last slash.
func repository(component string) string {
	image := payload.Image(component)
	return image[:strings.LastIndex(image, "/")]
}

type object = map[string]any

func kubeadmObject(kind string, fields object) object {
	fields["apiVersion"], fields["kind"] = "kubeadm.k8s.io/v1beta4", kind
	return fields
}

// registration is how a machine's kubelet is to register.
func registration(m plan.Machine) object {
	return object{
		"name":             m.Name,
		"criSocket":        "unix:///run/containerd/containerd.sock",
		"imagePullPolicy":  "IfNotPresent",
		"kubeletExtraArgs": []object{{"name": "node-ip", "value": m.Address.String()}},
	}
}

// certificateKey encrypts what the first master hands to the others.
func certificateKey() (string, error) {
	key := make([]byte, 32)
	_, err := rand.Read(key)
	return hex.EncodeToString(key), err
}

// kubeadmConfig is what kubeadm gets on a machine: its defaults, with the cluster's networks, the
// images that there are, and what a kubelet needs on these machines. The first master begins the
// cluster, the others join.
func (m *bare) kubeadmConfig(machine plan.Machine, certificateKey string) ([]byte, error) {
	master := first(m.plan, contract.Master)
	local := object{"advertiseAddress": machine.Address, "bindPort": kubeadmPort}
	if machine.Name != master.Name {
		join := kubeadmObject("JoinConfiguration", object{
			"discovery": object{"bootstrapToken": object{
				"token": kubeadmToken, "apiServerEndpoint": endpoint(master), "unsafeSkipCAVerification": true,
			}},
			"nodeRegistration": registration(machine),
		})
		if machine.Role == contract.Master {
			join["controlPlane"] = object{"localAPIEndpoint": local, "certificateKey": certificateKey}
		}
		return documents(join)
	}
	return documents(
		kubeadmObject("InitConfiguration", object{
			"bootstrapTokens":  []object{{"token": kubeadmToken}},
			"certificateKey":   certificateKey,
			"localAPIEndpoint": local,
			"nodeRegistration": registration(machine),
		}),
		kubeadmObject("ClusterConfiguration", object{
			"clusterName":          m.plan.Cluster,
			"kubernetesVersion":    tag("kube-apiserver"),
			"controlPlaneEndpoint": endpoint(master),
			"imageRepository":      repository("kube-apiserver"),
			"etcd":                 object{"local": object{"imageRepository": repository("etcd"), "imageTag": tag("etcd")}},
			"dns":                  object{"imageRepository": repository("coredns"), "imageTag": tag("coredns")},
			"networking": object{
				"podSubnet": m.plan.Network.Pods, "serviceSubnet": m.plan.Network.Services,
			},
		}),
		object{
			"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
			"cgroupDriver": "cgroupfs", "failCgroupV1": false, "failSwapOn": false, "serializeImagePulls": false,
			"evictionHard": object{"memory.available": "100Mi", "nodefs.available": "1Gi", "imagefs.available": "1Gi"},
		},
		object{
			"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
			"mode": "nftables", "conntrack": object{"maxPerCore": 0, "min": 0},
		},
	)
}
