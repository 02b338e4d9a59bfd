package part

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"craton.dev/craton/contract"
)

const (
	// Namespace is where the platform's own pods are.
	Namespace = metav1.NamespaceSystem
	// PlatformLabel marks what belongs to the platform.
	PlatformLabel = "craton.dev/platform"
	// Label names the part that an object belongs to: what is left of a part that is no
	// longer chosen is found by it.
	Label = "craton.dev/part"
	// Loopback is a machine's own address to itself.
	Loopback = "127.0.0.1"
	// Domain is that of services.
	Domain = "cluster.local"
)

// Priorities of pods, by Kubernetes' own names.
const (
	NodeCritical    = "system-node-critical"
	ClusterCritical = "system-cluster-critical"
)

// Ports are a clause's only range of ports.
func Ports(clause string) (contract.PortRange, error) {
	c, ok := contract.ByID(clause)
	if !ok || len(c.Ports) != 1 {
		return contract.PortRange{}, fmt.Errorf("manifests: the contract has no clause %s with one range of ports", clause)
	}
	return c.Ports[0], nil
}

// Port is a clause's only port.
func Port(clause string) (int, error) {
	r, err := Ports(clause)
	if err == nil && r.First != r.Last {
		err = fmt.Errorf("manifests: the contract's clause %s has the ports %s where one was expected", clause, r)
	}
	return int(r.First), err
}

// Image is the image of a component of the payload. It is an error where there is none.
func (in Input) Image(component string) (string, error) {
	if image := in.Images(component); image != "" {
		return image, nil
	}
	return "", fmt.Errorf("manifests: there is no image for %s", component)
}

// Kind is an object's kind in a version of its API.
func Kind(apiVersion, kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: apiVersion, Kind: kind}
}

// Meta is the name of an object in Namespace.
func Meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: Namespace}
}

// NameOf is a name for an object with this content, which pods read once: other content has
// another name, so that a new pod never starts with the last one's, which a kubelet may still
// have, and pods are replaced when it changes.
func NameOf(name string, data map[string][]byte) string {
	h := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(data)) {
		fmt.Fprintf(h, "%s %d\n", key, len(data[key]))
		h.Write(data[key])
	}
	return name + "-" + hex.EncodeToString(h.Sum(nil)[:5])
}

// MasterLabel is the label that the contract gives masters.
func MasterLabel() (string, error) {
	key, _, err := MachineLabel("master.machine.kubelet")
	return key, err
}

// MachineLabel is the label, and its value, that a clause gives machines.
func MachineLabel(clause string) (key, value string, err error) {
	c, ok := contract.ByID(clause)
	if !ok || len(c.Labels) != 1 {
		return "", "", fmt.Errorf("manifests: the contract has no clause %s with one label", clause)
	}
	key, value, _ = strings.Cut(c.Labels[0], "=")
	return key, value, nil
}
