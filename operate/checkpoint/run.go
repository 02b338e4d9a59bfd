package checkpoint

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// Options are the checkpointer's flags.
type Options struct {
	// APIOwn is this machine's own API server, https://ADDRESS:PORT; API is any, by the name
	// of all, https://NAME:PORT.
	APIOwn, API string
	// CA is the file of the API's authority, Certificates the kubelet's folder of its own.
	CA, Certificates string
	// Node is this machine's name, MasterLabel the label of a master's Node.
	Node, MasterLabel string
	// Manifests is the kubelet's folder of static pods, Checkpoints where checkpoints are.
	Manifests, Checkpoints string
	// Runtime is the path of the container runtime's socket.
	Runtime string
	// EtcdData is there once this machine has data of a self-hosted etcd; "" where etcd is not
	// self-hosted.
	EtcdData string
	// Healthz is the address of /healthz, on loopback; "" for none.
	Healthz string
	Log     *slog.Logger
}

const (
	// every is how often everything is looked at.
	every = 500 * time.Millisecond
	// refreshEvery is how often a pod's checkpoint is compared with what the pod reads now,
	// where the pod is the same: its secrets and config maps may be other ones.
	refreshEvery = time.Minute
	// retryEvery is how soon a refresh that failed is tried again.
	retryEvery = 5 * time.Second
	// stuck is when a loop that does not turn is no longer healthy.
	stuck = time.Minute
)

// Run looks after this machine's control plane until ctx ends, which is no error.
func Run(ctx context.Context, o Options) error {
	real, err := realOf(o.APIOwn)
	if err != nil {
		return fmt.Errorf("--api-own: %w", err)
	}
	if u, err := url.Parse(o.API); err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return fmt.Errorf("--api: %q: expected https://NAME:PORT", o.API)
	}
	runtime, err := newRuntime(o.Runtime)
	if err != nil {
		return fmt.Errorf("--runtime: %w", err)
	}
	components := components()
	if o.EtcdData != "" {
		components = append([]component{etcdComponent(o.EtcdData)}, components...) // the others wait for it
	}
	c := newCheckpointer(&observer{
		components: components, node: o.Node, label: o.MasterLabel,
		api:     &api{own: o.APIOwn, real: real, name: o.API, ca: o.CA, certificates: o.Certificates, node: o.Node, timeout: askTimeout},
		runtime: runtime, disk: &disk{Manifests: o.Manifests, Checkpoints: o.Checkpoints},
	}, o.Log)
	if o.Healthz != "" {
		stop, err := serveHealth(o.Healthz, c.healthy)
		if err != nil {
			return err
		}
		defer stop()
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		c.turn(ctx, time.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

type checkpointer struct {
	log      *slog.Logger
	disk     *disk
	observer *observer
	trackers map[string]*tracker
	// told is what was last said about a component.
	told     map[string]string
	troubles map[string]trouble
	kept     map[string]kept
	// calm: at the last look nothing was to be done, or about to be.
	calm   bool
	turned atomic.Int64
}

func newCheckpointer(o *observer, log *slog.Logger) *checkpointer {
	c := &checkpointer{
		log: log, disk: o.disk, observer: o,
		trackers: map[string]*tracker{}, told: map[string]string{}, troubles: map[string]trouble{}, kept: map[string]kept{},
	}
	for _, x := range o.components {
		c.trackers[x.Name] = &tracker{Kind: x.Kind}
	}
	return c
}

// kept is which pod a component's checkpoint was last compared with, and when that will be
// done again.
type kept struct {
	pod   string
	again time.Time
	// known: the pod runs the program that its stand-in has run.
	known bool
	// failed is why the checkpoint is not that of the pod, or nil.
	failed error
}

// headStart is how much sooner than another one a real pod is trusted that runs the program
// of its stand-in: that one has shown that it works. It is what makes a first start quick.
const headStart = 4 * time.Second

// turn looks once at everything, decides, and carries it out.
func (c *checkpointer) turn(ctx context.Context, now time.Time) {
	s := c.observer.look(ctx, now, c.calm)
	c.turned.Store(time.Now().UnixNano())
	if ctx.Err() != nil {
		return // what was not answered was not asked to the end
	}
	c.say(now, "the API", "the API does not answer", s.apiErr)
	c.say(now, "the runtime", "the container runtime does not answer", s.runtimeErr)
	c.say(now, "the disk", "the checkpoints on disk cannot be looked at", s.diskErr)
	c.calm = s.apiErr == nil && s.runtimeErr == nil && s.diskErr == nil
	for _, x := range c.observer.components {
		state := c.trackers[x.Name].State(now, s.looks[x.Name])
		if k := c.kept[x.Name]; k.known && k.pod == s.pods[x.Name].Metadata.UID && state.Ages.Ready > 0 {
			state.Ages.Ready += headStart
		}
		d := decide(state)
		if d.Refresh {
			err := c.refresh(ctx, now, x.Name, s.pods[x.Name], s.looks[x.Name])
			c.say(now, x.Name+" refresh", "the checkpoint could not be renewed", err)
			if err != nil && d.Action == deactivate {
				// The next stand-in would be as this one is, and what that needs may be about to go.
				d = decision{Reason: "the checkpoint is not that of the real pod yet"}
			}
		}
		c.say(now, x.Name+" action", "the decision could not be carried out", c.act(x.Name, d))
		// A component whose pods are elsewhere is calm as well, as long as somebody leads.
		if state.Active || state.API != answers || d.Action != leave ||
			state.Kind != leading && state.Real != processReady || state.Kind == leading && state.Ages.Unrenewed > unrenewed/2 {
			c.calm = false
		}
	}
}

// act carries a decision out, and says each once.
func (c *checkpointer) act(name string, d decision) error {
	what := map[action]string{
		leave:      "what is there stays",
		activate:   "the stand-in is started",
		deactivate: "the stand-in is ended",
		remove:     "the stand-in and the checkpoint are removed",
	}[d.Action]
	if text := what + ": " + d.Reason; c.told[name] != text {
		c.told[name] = text
		c.log.Info(text, "component", name)
	}
	switch d.Action {
	case activate:
		return c.disk.Activate(name)
	case deactivate:
		return c.disk.Deactivate(name)
	case remove:
		return c.disk.Remove(name)
	}
	return nil
}

// refresh makes the checkpoint that of this pod, which is ready, where it is another one.
func (c *checkpointer) refresh(ctx context.Context, now time.Time, name string, note podNote, l look) (err error) {
	id := note.Metadata.UID
	if k := c.kept[name]; k.pod == id && now.Before(k.again) && l.Checkpoint {
		return k.failed
	}
	known := c.kept[name].known && c.kept[name].pod == id
	defer func() {
		if err != nil {
			c.kept[name] = kept{id, now.Add(retryEvery), known, err}
		}
	}()
	pod, err := c.observer.api.pod(ctx, note.Metadata.Name)
	if err != nil {
		return err
	}
	if string(pod.UID) != id {
		return fmt.Errorf("pod %s has just been replaced", pod.Name)
	}
	have, err := c.observer.api.objects(ctx, pod)
	if err != nil {
		return err
	}
	made, err := standInOf(name, pod, have, c.disk.Dir(name))
	if err != nil {
		return err
	}
	if l.StandIn && !known {
		before, err := c.disk.Read(name)
		if err != nil {
			return err
		}
		known = samePrograms(before, made.Manifest)
	}
	changed, err := c.disk.Write(name, made)
	if err != nil {
		return err
	}
	if changed {
		c.log.Info("the checkpoint is that of the real pod now", "component", name, "pod", pod.Name)
	}
	c.kept[name] = kept{id, now.Add(refreshEvery), known, nil}
	if l.Active || l.StandIn {
		return nil
	}
	return c.disk.Prune(name)
}

// trouble is what is wrong with something, and when that was last said.
type trouble struct {
	text string
	said time.Time
}

// sayAgain is how soon the same trouble is told again in other words: which of several
// requests fails first may change with every look.
const sayAgain = 30 * time.Second

// say says what is wrong, once, and once when it is no longer.
func (c *checkpointer) say(now time.Time, about, what string, err error) {
	had, is := c.troubles[about]
	switch {
	case err == nil && is:
		delete(c.troubles, about)
		c.log.Info("that is over: "+what, "about", about)
	case err != nil && (!is || had.text != err.Error() && now.Sub(had.said) >= sayAgain):
		c.troubles[about] = trouble{err.Error(), now}
		c.log.Warn(what, "about", about, "because", err.Error())
	}
}

func (c *checkpointer) healthy() bool {
	return time.Since(time.Unix(0, c.turned.Load())) < stuck
}

// serveHealth answers on /healthz, well while healthy says so.
func serveHealth(address string, healthy func() bool) (stop func(), err error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--healthz: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if !healthy() {
			http.Error(w, "the loop does not turn", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 4 << 10}
	go server.Serve(listener) // ends with an error when it is closed
	return func() { server.Close() }, nil
}
