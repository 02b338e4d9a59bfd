package operation

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/streaming/pkg/httpstream"

	"craton.dev/craton/contract"
	"craton.dev/craton/plan"
)

// useAPI finds the API by its name, as a user's kubectl does, and asks for its version.
func useAPI(ctx context.Context, s *Stage) (string, error) {
	found, err := s.resolve(ctx, s.user(), s.Plan.Network.APIServer)
	if err != nil {
		return "", err
	}
	config, err := s.tls(true)
	if err != nil {
		return "", err
	}
	err = each(found, func(a string) error {
		at, err := netip.ParseAddr(a)
		if err != nil {
			return err
		}
		_, err = s.user().get(ctx, config, "https://"+s.api(at).String()+"/version")
		return err
	})
	return fmt.Sprintf("%s is %s, which answered over TLS", s.Plan.Network.APIServer, strings.Join(found, ", ")), err
}

// checkHealth asks each API server as the load balancer does.
func checkHealth(ctx context.Context, s *Stage) (string, error) {
	config, err := s.tls(false)
	if err != nil {
		return "", err
	}
	masters := s.Plan.OfRole(contract.Master)
	err = each(masters, func(m plan.Machine) error {
		_, err := s.balancer().get(ctx, config, "https://"+s.api(m.Address).String()+"/readyz")
		return err
	})
	return fmt.Sprintf("/readyz of %d API servers, from the load balancer", len(masters)), err
}

// podUsesAPI asks for the API's version from each pod, by the kubernetes service.
func podUsesAPI(ctx context.Context, s *Stage) (string, error) {
	config, err := s.tls(true)
	if err != nil {
		return "", err
	}
	config.ServerName = "kubernetes.default.svc"
	masters := len(s.Plan.OfRole(contract.Master))
	err = each(s.pods, func(p testPod) error {
		for range 6 * masters { // so that each of them is met
			if _, err := s.in(p).get(ctx, config, "https://"+s.Plan.Network.ServiceAPI.String()+"/version"); err != nil {
				return err
			}
			if masters == 1 {
				break
			}
		}
		return nil
	})
	return fmt.Sprintf("from pods of %d machines", len(s.pods)), err
}

// byEachServer repeats things so often that a load balancer, which a new connection leads to one API
// server after another, has met each with each.
func byEachServer[T any](s *Stage, things []T) (all []T) {
	if masters := len(s.Plan.OfRole(contract.Master)); masters > 1 {
		for range masters {
			all = append(all, things...)
		}
		return all
	}
	return things
}

// exec runs a program in each pod, which connects to its own pod.
func exec(ctx context.Context, s *Stage) (string, error) {
	err := each(byEachServer(s, s.pods), func(p testPod) error {
		config, err := s.userConfig()
		if err != nil {
			return err
		}
		client, err := s.userClient()
		if err != nil {
			return err
		}
		url := client.CoreV1().RESTClient().Get().Namespace(Namespace).Resource("pods").Name(p.name).SubResource("exec").
			VersionedParams(&corev1.PodExecOptions{Stdout: true, Stderr: true, Command: []string{"agnhost", "connect", "--timeout=1s", "127.0.0.1:" + strconv.Itoa(webPort)}}, scheme.ParameterCodec).URL()
		config.Timeout = 0
		run, err := remotecommand.NewWebSocketExecutor(config, http.MethodGet, url.String())
		if err != nil {
			return err
		}
		return until(ctx, 500*time.Millisecond, func() error {
			var said bytes.Buffer
			err := within(ctx, func() error {
				return run.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: io.Discard, Stderr: &said})
			})
			if err != nil { // a kubelet that was just started anew may not know its pods yet
				err = fmt.Errorf("in pod %s on %s: %w %s", p.name, p.machine, err, said.String())
			}
			return err
		})
	})
	return fmt.Sprintf("a program ran in pods of %d machines", len(s.pods)), err
}

func logs(ctx context.Context, s *Stage) (string, error) {
	err := each(byEachServer(s, s.pods), func(p testPod) error {
		client, err := s.userClient()
		if err != nil {
			return err
		}
		text, err := client.CoreV1().Pods(Namespace).GetLogs(p.name, &corev1.PodLogOptions{TailLines: new(int64(5))}).DoRaw(ctx)
		if err == nil && len(text) == 0 {
			err = errors.New("it is empty")
		}
		if err != nil {
			return fmt.Errorf("log of pod %s on %s: %w", p.name, p.machine, err)
		}
		return nil
	})
	return fmt.Sprintf("logs of pods of %d machines", len(s.pods)), err
}

// portForward asks each pod's web server through a port-forward of its own.
func portForward(ctx context.Context, s *Stage) (string, error) {
	err := each(byEachServer(s, s.pods), func(p testPod) error {
		if err := within(ctx, func() error { return s.forward(p) }); err != nil {
			return fmt.Errorf("to pod %s on %s: %w", p.name, p.machine, err)
		}
		return nil
	})
	return fmt.Sprintf("port %d of pods of %d machines", webPort, len(s.pods)), err
}

func (s *Stage) forward(p testPod) error {
	config, err := s.userConfig()
	if err != nil {
		return err
	}
	client, err := s.userClient()
	if err != nil {
		return err
	}
	config.Timeout = 0
	url := client.CoreV1().RESTClient().Get().Namespace(Namespace).Resource("pods").Name(p.name).SubResource("portforward").URL()
	dialer, err := portforward.NewSPDYOverWebsocketDialer(url, config)
	if err != nil {
		return err
	}
	conn, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
	if err != nil {
		return err
	}
	defer conn.Close()
	var streams []httpstream.Stream
	for _, kind := range []string{corev1.StreamTypeError, corev1.StreamTypeData} {
		stream, err := conn.CreateStream(http.Header{
			corev1.StreamType: {kind}, corev1.PortHeader: {strconv.Itoa(webPort)}, corev1.PortForwardRequestIDHeader: {"0"},
		})
		if err != nil {
			return err
		}
		streams = append(streams, stream)
	}
	if _, err := io.WriteString(streams[1], "GET /hostname HTTP/1.0\r\n\r\n"); err != nil {
		return err
	}
	answer, err := http.ReadResponse(bufio.NewReader(streams[1]), nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	name, err := io.ReadAll(answer.Body)
	if err == nil && string(name) != p.name {
		err = fmt.Errorf("%q answers", name)
	}
	return err
}

// proxy asks each kubelet whether it is well, through the API.
func proxy(ctx context.Context, s *Stage) (string, error) {
	err := each(byEachServer(s, s.Plan.Machines), func(m plan.Machine) error {
		client, err := s.userClient()
		if err != nil {
			return err
		}
		_, err = client.CoreV1().RESTClient().Get().Resource("nodes").Name(m.Name).SubResource("proxy").Suffix("healthz").DoRaw(ctx)
		if err != nil {
			return fmt.Errorf("kubelet of %s: %w", m.Name, err)
		}
		return nil
	})
	return fmt.Sprintf("/healthz of %d kubelets", len(s.Plan.Machines)), err
}

// callWebhook lets each API server connect to each pod, as it does to webhooks and aggregated
// APIs: by the pod's own address. It is asked from its own machine.
func callWebhook(ctx context.Context, s *Stage) (string, error) {
	config, err := s.tls(true)
	if err != nil {
		return "", err
	}
	masters := s.Plan.OfRole(contract.Master)
	err = each(masters, func(m plan.Machine) error {
		return each(s.pods, func(p testPod) error {
			url := fmt.Sprintf("https://%s/api/v1/namespaces/%s/pods/http:%s:%d/proxy/hostname", s.api(m.Address), Namespace, p.name, webPort)
			name, err := s.at(m.Name).get(ctx, config, url)
			if err == nil && name != p.name {
				err = fmt.Errorf("%q answers for pod %s", name, p.name)
			}
			return err
		})
	})
	return fmt.Sprintf("%d API servers connected to pods of %d machines", len(masters), len(s.pods)), err
}

// schedule lets the scheduler place a pod on each machine, and waits till it is ready.
func schedule(ctx context.Context, s *Stage) (string, error) {
	pods := s.direct.CoreV1().Pods(Namespace)
	err := each(s.Plan.Machines, func(m plan.Machine) error {
		name := fmt.Sprintf("placed-%08x", rand.Uint32())
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec(s.Image, "pause")}
		pod.Spec.NodeSelector = map[string]string{corev1.LabelHostname: m.Name}
		if _, err := pods.Create(ctx, pod, metav1.CreateOptions{}); err != nil {
			return err
		}
		defer func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
			defer cancel()
			_ = pods.Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}) // Close does so too
		}()
		return until(ctx, 200*time.Millisecond, func() error {
			now, err := pods.Get(ctx, name, metav1.GetOptions{})
			if err == nil && !ready(now) {
				err = fmt.Errorf("the pod for %s is %s, placed on %q, and not ready", m.Name, now.Status.Phase, now.Spec.NodeName)
			}
			return err
		})
	})
	return fmt.Sprintf("a pod on each of %d machines", len(s.Plan.Machines)), err
}

// store writes to and reads from the store of each API server.
func store(ctx context.Context, s *Stage) (string, error) {
	masters := s.Plan.OfRole(contract.Master)
	err := each(masters, func(m plan.Machine) error {
		client, err := s.clientAt(m)
		if err != nil {
			return err
		}
		return write(ctx, s, client.CoreV1().ConfigMaps(Namespace).Create, m.Name)
	})
	return fmt.Sprintf("%d API servers wrote and read", len(masters)), err
}

// replicate writes with one API server and reads with all others what it has written.
func replicate(ctx context.Context, s *Stage) (string, error) {
	masters := s.Plan.OfRole(contract.Master)
	if len(masters) < 2 {
		return "", errors.New("there is one master only")
	}
	for i, m := range masters {
		client, err := s.clientAt(m)
		if err != nil {
			return "", err
		}
		if err := write(ctx, s, client.CoreV1().ConfigMaps(Namespace).Create, m.Name, slices.Delete(slices.Clone(masters), i, i+1)...); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("what each of %d API servers wrote, all others read", len(masters)), nil
}

type creator func(context.Context, *corev1.ConfigMap, metav1.CreateOptions) (*corev1.ConfigMap, error)

// write makes an object by one API server and reads it by others.
func write(ctx context.Context, s *Stage, create creator, by string, readers ...plan.Machine) error {
	name := fmt.Sprintf("written-%08x", rand.Uint32())
	if _, err := create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: Namespace}}, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("write with the API server of %s: %w", by, err)
	}
	return each(readers, func(m plan.Machine) error {
		client, err := s.clientAt(m)
		if err != nil {
			return err
		}
		if _, err := client.CoreV1().ConfigMaps(Namespace).Get(ctx, name, metav1.GetOptions{}); err != nil {
			return fmt.Errorf("read with the API server of %s what that of %s wrote: %w", m.Name, by, err)
		}
		return nil
	})
}
