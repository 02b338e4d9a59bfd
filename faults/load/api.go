package load

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"

	"craton.dev/craton/faults/history"
)

// key is a register in the API: a field of an object.
type key struct {
	kind string
	name string
}

func (k key) String() string { return k.kind + "/" + k.name }

// The kinds of objects, each with where it is in the API.
const (
	configMap = "configmap"
	lease     = "lease"
	namespace = "default"
)

func (k key) collection() string {
	if k.kind == lease {
		return "/apis/coordination.k8s.io/v1/namespaces/" + namespace + "/leases"
	}
	return "/api/v1/namespaces/" + namespace + "/configmaps"
}

func (k key) path() string { return k.collection() + "/" + k.name }

// keys are the registers of a run.
func keys(run string) []key {
	var out []key
	for i := range 3 {
		out = append(out, key{configMap, fmt.Sprintf("craton-faults-%s-%d", run, i)})
	}
	for i := range 2 {
		out = append(out, key{lease, fmt.Sprintf("craton-faults-%s-%d", run, i)})
	}
	return out
}

func paths(keys []key) []string {
	var out []string
	for _, k := range keys {
		out = append(out, k.path())
	}
	return out
}

// object is the part of both kinds that matters here.
type object struct {
	APIVersion string            `json:"apiVersion,omitempty"`
	Kind       string            `json:"kind,omitempty"`
	Metadata   metadata          `json:"metadata"`
	Data       map[string]string `json:"data,omitempty"`
	Spec       *leaseSpec        `json:"spec,omitempty"`
}

type metadata struct {
	Name            string `json:"name"`
	ResourceVersion string `json:"resourceVersion,omitempty"`
}

type leaseSpec struct {
	HolderIdentity string `json:"holderIdentity"`
}

func (o object) value() string {
	if o.Spec != nil {
		return o.Spec.HolderIdentity
	}
	return o.Data["value"]
}

func (k key) object(value, resourceVersion string) object {
	o := object{Metadata: metadata{Name: k.name, ResourceVersion: resourceVersion}}
	if k.kind == lease {
		o.APIVersion, o.Kind, o.Spec = "coordination.k8s.io/v1", "Lease", &leaseSpec{value}
	} else {
		o.APIVersion, o.Kind, o.Data = "v1", "ConfigMap", map[string]string{"value": value}
	}
	return o
}

// known is what a client thinks that a key is.
type known struct{ value, resourceVersion string }

// apiClient uses the registers through the API, one request at a time.
type apiClient struct {
	id       int
	http     *http.Client
	url      string
	recorder *recorder
	random   *rand.Rand
	keys     []key
	known    map[string]known
	written  int
}

func (c *apiClient) run(ctx context.Context) {
	for pause(ctx, c.random) {
		k := c.keys[c.random.IntN(len(c.keys))]
		choice := c.random.Float64()
		if _, ok := c.known[k.String()]; !ok || choice < 0.35 {
			_ = c.read(ctx, k, choice < 0.1) // it is in the history
			continue
		}
		c.write(ctx, k)
	}
}

// read asks for the value as it is now, as a list of one or as the object itself: either
// has to be what etcd's majority has, and not what a cache had.
func (c *apiClient) read(ctx context.Context, k key, list bool) error {
	op := history.Op{Client: c.id, Key: k.String(), Kind: history.Read, Outcome: history.Unknown, Via: "get"}
	url := c.url + k.path()
	if list {
		op.Via, url = "list", c.url+k.collection()+"?fieldSelector=metadata.name%3D"+k.name
	}
	var problem error
	c.recorder.do(op, func(op *history.Op) {
		a := request(ctx, c.http, attemptLimit, http.MethodGet, url, "", nil)
		found, o, err := parse(a, list)
		if problem = err; err != nil {
			op.Error = err.Error()
			return
		}
		op.Outcome = history.OK
		if found {
			op.Got = o.value()
		}
		c.known[k.String()] = known{op.Got, o.Metadata.ResourceVersion}
	})
	return problem
}

func parse(a answer, list bool) (found bool, o object, err error) {
	if a.err == nil && a.status == http.StatusNotFound {
		return false, o, nil
	}
	if err := a.problem(); err != nil {
		return false, o, err
	}
	if !list {
		return true, o, json.Unmarshal(a.body, &o)
	}
	var items struct {
		Items []object `json:"items"`
	}
	if err := json.Unmarshal(a.body, &items); err != nil || len(items.Items) == 0 {
		return false, o, err
	}
	return true, items.Items[0], nil
}

// write replaces the value that the client knows, and nothing else.
func (c *apiClient) write(ctx context.Context, k key) {
	c.written++
	was := c.known[k.String()]
	op := history.Op{Client: c.id, Key: k.String(), Kind: history.CAS, Old: was.value, New: fmt.Sprintf("%d.%d", c.id, c.written)}
	delete(c.known, k.String())
	c.recorder.do(op, func(op *history.Op) {
		var a answer
		if was.value == "" {
			op.Via = "create"
			a = request(ctx, c.http, attemptLimit, http.MethodPost, c.url+k.collection(), asJSON, k.object(op.New, ""))
		} else {
			op.Via = "update"
			a = request(ctx, c.http, attemptLimit, http.MethodPut, c.url+k.path(), asJSON, k.object(op.New, was.resourceVersion))
		}
		op.Outcome = outcome(a)
		if err := a.problem(); err != nil {
			op.Error = err.Error()
			return
		}
		var o object
		if json.Unmarshal(a.body, &o) == nil {
			c.known[k.String()] = known{op.New, o.Metadata.ResourceVersion}
		}
	})
}

// outcome is what a client may conclude from the answer to a write.
func outcome(a answer) history.Outcome {
	switch {
	case a.err != nil && !a.sent:
		return history.Failed
	case a.err != nil:
		return history.Unknown
	case a.status/100 == 2:
		return history.OK
	case a.status == http.StatusConflict, a.status == http.StatusNotFound:
		return history.Refused
	case a.status/100 == 4: // not allowed, or too many at once
		return history.Failed
	}
	return history.Unknown
}

// remove deletes an object that may be gone.
func (c *apiClient) remove(ctx context.Context, path string) error {
	a := request(ctx, c.http, attemptLimit, http.MethodDelete, c.url+path, "", nil)
	if a.err == nil && a.status == http.StatusNotFound {
		return nil
	}
	return a.problem()
}

// probePath is the object that the probes of a run read and write.
func probePath(run string) string {
	k := key{configMap, strings.Join([]string{"craton-faults", run, "probe"}, "-")}
	return k.path()
}
