// Package kube reads a cluster as one person: every request carries that person's own
// token, so that it shows what that person may see and nothing else. There is no other
// way to ask: the package has no credentials.
//
// Lists are asked for as tables, the form that the API server itself makes for people: it
// is small, and its columns are those of kubectl. Nothing is judged. Of pods, of which there may be
// thousands, the rows are held while people look at them, and shown to whoever may list them.
package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Cluster is a connection to an API server, without any rights.
type Cluster struct {
	client rest.Interface
	held   []*held
}

// Person is a cluster as one person sees it.
type Person struct {
	client rest.Interface
	bearer string
	held   []*held
}

// Connect prepares a connection; nothing is sent yet. caFile is the PEM of the authority of
// the API server's certificate.
func Connect(server, caFile string) (*Cluster, error) {
	config := &rest.Config{
		Host: server, TLSClientConfig: rest.TLSClientConfig{CAFile: caFile},
		// The way is a cluster's own network: to compress lists costs both sides more than it saves.
		DisableCompression: true,
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, fmt.Errorf("the API at %s: %w", server, err)
	}
	base, err := url.Parse(server)
	if err != nil {
		return nil, fmt.Errorf("the API's address: %w", err)
	}
	// The only kind that is decoded by the client is what the API says of an error.
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	codecs := serializer.NewCodecFactory(scheme)
	content := rest.ClientContentConfig{
		ContentType: runtime.ContentTypeJSON, GroupVersion: schema.GroupVersion{Version: "v1"},
		Negotiator: runtime.NewClientNegotiator(codecs.WithoutConversion(), schema.GroupVersion{Version: "v1"}),
	}
	client, err := rest.NewRESTClient(base, "", content, nil, &http.Client{Transport: transport})
	if err != nil {
		return nil, fmt.Errorf("the API at %s: %w", server, err)
	}
	return &Cluster{client: client, held: []*held{{kind: Pods}, {kind: Pods, sel: NotRunning}}}, nil
}

// As is the cluster as the person of a token sees it.
func (c *Cluster) As(token string) *Person {
	return &Person{client: c.client, bearer: "Bearer " + token, held: c.held}
}

// answerWithin bounds each request but those that follow something.
const answerWithin = 20 * time.Second

func (p *Person) request(verb, path string) *rest.Request {
	return p.client.Verb(verb).AbsPath(path).SetHeader("Authorization", p.bearer).MaxRetries(1)
}

// Get reads one object into a struct that has its JSON fields. Errors are those of package
// apimachinery/pkg/api/errors.
func (p *Person) Get(ctx context.Context, k Kind, namespace, name string, into any) error {
	return decode(p.request(http.MethodGet, k.path(namespace, name)).Timeout(answerWithin).Do(ctx), into)
}

// List reads whole objects. It is for kinds of which there are few.
func (p *Person) List(ctx context.Context, k Kind, namespace string, s Select, into any) error {
	r := s.apply(p.request(http.MethodGet, k.path(namespace, "")))
	return decode(r.Timeout(answerWithin).Do(ctx), into)
}

// Versions says which version there is of each of some objects, by name, and nothing of what is in
// them. Whoever is told may list them whole.
func (p *Person) Versions(ctx context.Context, k Kind, namespace string, s Select) (map[string]string, error) {
	var list metav1.PartialObjectMetadataList
	r := s.apply(p.request(http.MethodGet, k.path(namespace, ""))).SetHeader("Accept", asMetadataList)
	if err := decode(r.Timeout(answerWithin).Do(ctx), &list); err != nil {
		return nil, err
	}
	versions := make(map[string]string, len(list.Items))
	for i := range list.Items {
		versions[list.Items[i].Name] = VersionOf(&list.Items[i])
	}
	return versions, nil
}

// VersionOf is an object's version among all objects' of a cluster.
func VersionOf(o metav1.Object) string { return string(o.GetUID()) + "/" + o.GetResourceVersion() }

func decode(result rest.Result, into any) error {
	if err := result.Error(); err != nil {
		return err
	}
	body, err := result.Raw()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("read the API's answer: %w", err)
	}
	return nil
}

// Select narrows a list on the API's side. Empty fields do not.
type Select struct {
	Labels, Fields string
	Limit          int
	Continue       string
}

func (s Select) apply(r *rest.Request) *rest.Request {
	if s.Labels != "" {
		r = r.Param("labelSelector", s.Labels)
	}
	if s.Fields != "" {
		r = r.Param("fieldSelector", s.Fields)
	}
	if s.Limit > 0 {
		r = r.Param("limit", fmt.Sprint(s.Limit))
	}
	if s.Continue != "" {
		r = r.Param("continue", s.Continue)
	}
	return r
}

// Patch changes an object by a merge patch, in the person's name.
func (p *Person) Patch(ctx context.Context, k Kind, namespace, name string, patch []byte) error {
	r := p.request(http.MethodPatch, k.path(namespace, name)).Param("fieldManager", "craton-console").
		SetHeader("Content-Type", string(types.MergePatchType)).Body(patch)
	return r.Timeout(answerWithin).Do(ctx).Error()
}

// Logs follows a container's log from its last lines on, or reads these only. Whoever asked
// closes it.
func (p *Person) Logs(ctx context.Context, namespace, pod, container string, lines int, follow bool) (io.ReadCloser, error) {
	r := p.request(http.MethodGet, Pods.path(namespace, pod)+"/log").
		Param("container", container).Param("tailLines", fmt.Sprint(lines)).Param("limitBytes", fmt.Sprint(logBytes))
	if follow {
		r = p.request(http.MethodGet, Pods.path(namespace, pod)+"/log").
			Param("container", container).Param("tailLines", fmt.Sprint(lines)).Param("follow", "true")
	} else {
		r = r.Timeout(answerWithin)
	}
	return r.Stream(ctx)
}

// logBytes bounds a log that is read at once.
const logBytes = 1 << 20
