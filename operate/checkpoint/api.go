package checkpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// askTimeout is how long one way to the API may take to answer.
const askTimeout = time.Second

// api asks the API server, as the kubelet: this machine's own first, the stand-in if there is
// one and the real one after that, then by name.
type api struct {
	own, real, name  string // https://HOST:PORT
	ca, certificates string
	node             string
	timeout          time.Duration // of one way

	credentials *credentials
	ways        []way
	// alone leads to the real server, on a connection for each request.
	alone way
}

type way struct {
	base   string
	client *http.Client
}

// answered is an answer that is no success.
type answered struct {
	url    string
	status int
	text   string
}

func (e *answered) Error() string {
	return fmt.Sprintf("%s: %d %s: %s", e.url, e.status, http.StatusText(e.status), e.text)
}

// notFound says whether the API knows of no such object.
func notFound(err error) bool {
	var a *answered
	return errors.As(err, &a) && a.status == http.StatusNotFound
}

// reach is what an answer, or none, says about the API as a whole. A server that is broken
// or overloaded is as good as none; one that refuses is there.
func reach(err error) reached {
	var a *answered
	switch {
	case err == nil:
		return answers
	case errors.As(err, &a):
		if a.status >= http.StatusInternalServerError {
			return unreachable
		}
		return unknown
	}
	var asked *url.Error
	if errors.As(err, &asked) {
		return unreachable
	}
	return unknown // it was not asked: there are no credentials
}

// renew reads the certificates again where they have changed.
func (a *api) renew() error {
	if a.credentials != nil && !a.credentials.changed() {
		return nil
	}
	u, err := url.Parse(a.own)
	if err != nil {
		return err
	}
	c, err := readCredentials(a.ca, a.certificates)
	if err != nil {
		if a.credentials != nil {
			return nil // they are being replaced: what was read before may still do
		}
		return err
	}
	for _, w := range a.ways {
		w.client.CloseIdleConnections()
	}
	a.credentials, a.ways = c, nil
	for _, base := range []string{a.own, a.real, a.name} {
		base = strings.TrimRight(base, "/")
		if !slices.ContainsFunc(a.ways, func(w way) bool { return w.base == base }) {
			called := "" // as in its URL
			if base == a.real {
				called = u.Hostname() // its certificate has the machine's address, and no loopback
			}
			a.ways = append(a.ways, way{base, c.client(true, called)})
		}
	}
	a.alone = way{a.real, c.client(false, u.Hostname())}
	return nil
}

// get reads an object, on the first way on which there is one, into out. Where no way has
// an answer of use, a refusal says more than silence.
func (a *api) get(ctx context.Context, path string, out any) error {
	if err := a.renew(); err != nil {
		return err
	}
	var worst error
	for i, w := range a.ways {
		err := a.ask(ctx, w, path, out)
		if err == nil || notFound(err) {
			return err
		}
		if i == 0 || reach(worst) == unreachable {
			worst = err
		}
	}
	return worst
}

func (a *api) ask(ctx context.Context, w way, path string, out any) error {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.base+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "craton-checkpointer")
	response, err := w.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 300))
		io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // so that the connection can be used again
		return &answered{w.base + path, response.StatusCode, strings.TrimSpace(string(text))}
	}
	if out == nil {
		_, err = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	} else {
		err = json.NewDecoder(response.Body).Decode(out)
	}
	if err != nil {
		// It broke off, or is no API server.
		return &url.Error{Op: "Get", URL: w.base + path, Err: err}
	}
	// To the end, so that the connection can be used again.
	io.Copy(io.Discard, io.LimitReader(response.Body, 4<<10))
	return nil
}

// podNote is what of a pod is looked at each time.
type podNote struct {
	Metadata struct {
		Name            string            `json:"name"`
		UID             string            `json:"uid"`
		ResourceVersion string            `json:"resourceVersion"`
		Labels          map[string]string `json:"labels"`
		Deleted         *time.Time        `json:"deletionTimestamp"`
	} `json:"metadata"`
	Spec struct {
		NodeName string `json:"nodeName"`
	} `json:"spec"`
	Status struct {
		Phase      string `json:"phase"`
		Conditions []struct {
			Type   string `json:"type"`
			Status string `json:"status"`
		} `json:"conditions"`
	} `json:"status"`
}

func (p *podNote) ready() bool {
	for _, c := range p.Status.Conditions {
		if c.Type == string(corev1.PodReady) {
			return c.Status == string(corev1.ConditionTrue) && p.Metadata.Deleted == nil
		}
	}
	return false
}

// stays: it has not ended, and nobody has asked it to.
func (p *podNote) stays() bool {
	return p.Metadata.Deleted == nil && p.Status.Phase != string(corev1.PodFailed) && p.Status.Phase != string(corev1.PodSucceeded)
}

// pods are those with this label selector, of all machines.
func (a *api) pods(ctx context.Context, selector string) ([]podNote, error) {
	var list struct {
		Items []podNote `json:"items"`
	}
	err := a.get(ctx, "/api/v1/namespaces/"+namespace+"/pods?labelSelector="+url.QueryEscape(selector), &list)
	return list.Items, err
}

// pod is the whole of one.
func (a *api) pod(ctx context.Context, name string) (*corev1.Pod, error) {
	pod := &corev1.Pod{}
	return pod, a.get(ctx, "/api/v1/namespaces/"+namespace+"/pods/"+url.PathEscape(name), pod)
}

// objects are the secrets and config maps that a pod's checkpoint is made with. One that is
// not there is left out.
func (a *api) objects(ctx context.Context, pod *corev1.Pod) (podObjects, error) {
	have := podObjects{Secrets: map[string]map[string][]byte{}, ConfigMaps: map[string]map[string][]byte{}}
	secrets, configMaps := needs(pod)
	base := "/api/v1/namespaces/" + namespace
	for _, name := range secrets {
		var o struct {
			Data map[string][]byte `json:"data"`
		}
		if err := a.get(ctx, base+"/secrets/"+url.PathEscape(name), &o); notFound(err) {
			continue
		} else if err != nil {
			return have, err
		}
		have.Secrets[name] = filled(o.Data)
	}
	for _, name := range configMaps {
		var o struct {
			Data       map[string]string `json:"data"`
			BinaryData map[string][]byte `json:"binaryData"`
		}
		if err := a.get(ctx, base+"/configmaps/"+url.PathEscape(name), &o); notFound(err) {
			continue
		} else if err != nil {
			return have, err
		}
		data := filled(o.BinaryData)
		for key, value := range o.Data {
			data[key] = []byte(value)
		}
		have.ConfigMaps[name] = data
	}
	return have, nil
}

// filled tells an object without keys from one that is not there.
func filled(data map[string][]byte) map[string][]byte {
	if data == nil {
		return map[string][]byte{}
	}
	return data
}

// lease is a component's: what changes with every renewal, and the machine of its holder,
// as far as the name tells.
func (a *api) lease(ctx context.Context, name string) (version, holder string, err error) {
	var o struct {
		Spec struct {
			Holder  string `json:"holderIdentity"`
			Renewed string `json:"renewTime"`
		} `json:"spec"`
	}
	err = a.get(ctx, "/apis/coordination.k8s.io/v1/namespaces/"+namespace+"/leases/"+url.PathEscape(name), &o)
	if notFound(err) {
		return "", "", nil
	}
	if err != nil || o.Spec.Holder == "" {
		return "", "", err // given up by its holder: as good as absent
	}
	// The programs' identity is the machine's name, "_" and something random.
	if i := strings.LastIndexByte(o.Spec.Holder, '_'); i > 0 {
		holder = o.Spec.Holder[:i]
	}
	return o.Spec.Holder + " " + o.Spec.Renewed, holder, nil
}

// membership asks for this machine's Node. label is the masters'.
func (a *api) membership(ctx context.Context, label string) (membership, error) {
	var o struct {
		Metadata struct {
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
		Spec struct {
			Taints []struct {
				Key string `json:"key"`
			} `json:"taints"`
		} `json:"spec"`
	}
	err := a.get(ctx, "/api/v1/nodes/"+url.PathEscape(a.node), &o)
	if notFound(err) {
		return nodeUnknown, nil
	}
	if err != nil {
		return nodeUnknown, err
	}
	for _, t := range o.Spec.Taints {
		if t.Key == uninitialized {
			return nodeNew, nil
		}
	}
	if _, ok := o.Metadata.Labels[label]; ok {
		return nodeMaster, nil
	}
	return nodeOther, nil
}

// realReady asks this machine's real API server, and it alone, whether it is ready.
func (a *api) realReady(ctx context.Context) bool {
	return a.renew() == nil && a.ask(ctx, a.alone, "/readyz", nil) == nil
}
