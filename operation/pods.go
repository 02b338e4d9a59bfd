package operation

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

// Namespace holds all that probes make on a cluster.
const Namespace = "craton-proof"

const (
	podName  = "probe"
	webPort  = 8080
	udpPort  = 8081
	appLabel = "craton-proof"
)

// testPod is a pod of the stage, which serves HTTP.
type testPod struct {
	name, machine string
	address       netip.Addr
}

func (s *Stage) in(p testPod) place {
	return place{"pod " + p.name + " on " + p.machine, func(f func() error) error {
		return s.Platform.InAddress(p.machine, p.address, f)
	}}
}

func spec(image string, args ...string) corev1.PodSpec {
	return corev1.PodSpec{
		TerminationGracePeriodSeconds: new(int64(0)),
		AutomountServiceAccountToken:  new(false),
		Tolerations:                   []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
		Containers:                    []corev1.Container{{Name: podName, Image: image, ImagePullPolicy: corev1.PullIfNotPresent, Args: args}},
	}
}

// Open makes the pods and services that probes work with, and waits for them.
func (s *Stage) Open(ctx context.Context) error {
	var err error
	if s.direct, err = s.clientAt(s.master()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	labels := map[string]string{appLabel: podName}
	set := &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: podName, Namespace: Namespace},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       spec(s.Image, "netexec", fmt.Sprintf("--http-port=%d", webPort), fmt.Sprintf("--udp-port=%d", udpPort)),
			},
		},
	}
	service := func(name string, local bool) *corev1.Service {
		out := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: Namespace},
			Spec: corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{{
				Name: "http", Port: 80, TargetPort: intstr.FromInt32(webPort),
			}}},
		}
		if local { // so that a node port leads to its own machine's pod, by no other clause
			out.Spec.Type, out.Spec.ExternalTrafficPolicy = corev1.ServiceTypeNodePort, corev1.ServiceExternalTrafficPolicyLocal
		}
		return out
	}
	// What is not on a machine yet is not for a probe to wait for.
	// A machine that has only just started may take longer for one than an image is to take.
	if err := until(ctx, time.Second, func() error { _, err := pullImage(ctx, s); return err }); err != nil {
		return err
	}
	return until(ctx, 250*time.Millisecond, func() error {
		_, err := s.direct.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Namespace}}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("make namespace %s: %w", Namespace, err)
		}
		for _, sv := range []*corev1.Service{service("web", false), service("web-local", true)} {
			if _, err := s.direct.CoreV1().Services(Namespace).Create(ctx, sv, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
				return fmt.Errorf("make service %s: %w", sv.Name, err)
			}
		}
		if _, err := s.direct.AppsV1().DaemonSets(Namespace).Create(ctx, set, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("make the probes' pods: %w", err)
		}
		if err := s.look(ctx); err != nil || len(s.nodePorts()) == 0 {
			return err
		}
		_, err = nodePort(ctx, s) // what kube-proxy learns last
		return err
	})
}

// look reads where the pods and services are; an error where they are not ready.
func (s *Stage) look(ctx context.Context) error {
	list, err := s.direct.CoreV1().Pods(Namespace).List(ctx, metav1.ListOptions{LabelSelector: appLabel + "=" + podName})
	if err != nil {
		return err
	}
	var pods []testPod
	for _, p := range list.Items {
		a, err := netip.ParseAddr(p.Status.PodIP)
		if err == nil && p.DeletionTimestamp == nil && ready(&p) {
			pods = append(pods, testPod{p.Name, p.Spec.NodeName, a})
		}
	}
	if len(pods) != len(s.Plan.Machines) {
		return fmt.Errorf("%d of %d machines have a pod that is ready", len(pods), len(s.Plan.Machines))
	}
	web, err := s.direct.CoreV1().Services(Namespace).Get(ctx, "web", metav1.GetOptions{})
	if err != nil {
		return err
	}
	local, err := s.direct.CoreV1().Services(Namespace).Get(ctx, "web-local", metav1.GetOptions{})
	if err != nil {
		return err
	}
	s.pods, s.nodePort = pods, uint16(local.Spec.Ports[0].NodePort)
	if s.service, err = netip.ParseAddr(web.Spec.ClusterIP); err != nil {
		return err
	}
	return s.findDNS(ctx)
}

// Settle waits till every machine reports and has its pod, also after one has lost its power.
func (s *Stage) Settle(ctx context.Context) error {
	since := time.Now()
	return until(ctx, 500*time.Millisecond, func() error {
		for _, m := range s.Plan.Machines {
			if err := s.reports(ctx, m, since); err != nil {
				return err
			}
		}
		if err := s.allServe(ctx); err != nil {
			return err
		}
		if err := s.look(ctx); err != nil {
			return err
		}
		// What the API says of a pod may be of before; the machine knows better.
		return each(s.pods, func(p testPod) error {
			_, err := s.in(p).get(ctx, nil, "http://"+hostPort(p.address, webPort)+"/hostname")
			return err
		})
	})
}

// allServe is nil where each API server is ready, as it says on its own machine.
func (s *Stage) allServe(ctx context.Context) error {
	config, err := s.tls(false)
	if err != nil {
		return err
	}
	return each(s.Plan.OfRole(contract.Master), func(m plan.Machine) error {
		_, err := s.at(m.Name).get(ctx, config, "https://"+s.api(m.Address).String()+"/readyz")
		return err
	})
}

// Fresh starts the kubelets of all machines but masters anew, whose ways to the API have rules,
// and waits till they serve: they know nothing then of who may use them.
func (s *Stage) Fresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	return each(s.Plan.OfRole(contract.Infra, contract.Worker), func(m plan.Machine) error {
		since := time.Now()
		if _, err := s.run(ctx, m.Name, "systemctl restart kubelet"); err != nil {
			return err
		}
		err := until(ctx, 200*time.Millisecond, func() error {
			if s.serving(ctx, m) == nil {
				return fmt.Errorf("the kubelet of %s does not serve", m.Name)
			}
			return s.reports(ctx, m, since)
		})
		// It serves a moment before it knows its pods, and asking it would be asking the API.
		time.Sleep(1500 * time.Millisecond)
		return err
	})
}

func ready(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// Close removes what Open and the probes have made.
func (s *Stage) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	errMachines := each(s.Plan.Machines, func(m plan.Machine) error {
		_, err := s.run(ctx, m.Name, fmt.Sprintf(`if id -u %[1]s >/dev/null 2>&1; then userdel --remove %[1]s; fi
ctr --namespace %[1]s images ls -q | xargs -r ctr --namespace %[1]s images rm; ctr namespaces rm %[1]s || true`, Namespace))
		return err
	})
	errMachines = errors.Join(errMachines, s.useAll(ctx))
	err := s.direct.CoreV1().Namespaces().Delete(ctx, Namespace, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		err = nil
	}
	return errors.Join(errMachines, err)
}
