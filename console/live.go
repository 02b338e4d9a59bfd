package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"craton.dev/craton/console/kube"
	"craton.dev/craton/render/manifests"
)

// A page that is looked at keeps one stream open, on which it is told that something of it
// has changed; then it asks for its changing part again. So a change costs a look at what
// is on the page, whatever has changed, and order does not matter.

const (
	// settle lets changes that come together be told at once. Between two tellings is at
	// least pace, and more where many people look: share is each one's part of it.
	settle   = 50 * time.Millisecond
	pace     = 500 * time.Millisecond
	share    = 40 * time.Millisecond
	mostPace = 5 * time.Second
	// late is when a change is told once more where nothing has followed it: rows that the Console
	// holds come by another watch, which may not have had it yet when the page asked.
	late = time.Second
	// beat keeps the way between open, and shows the browser that it is.
	beat = 15 * time.Second
	// again is how long a watch that has ended waits before it begins anew.
	again = time.Second
)

// podsOn is, in a stream's address, the list of a machine's pods.
const podsOn = "pods-on"

// watched is one list whose changes matter to a page: "pods", "pods/team-a",
// "pods/team-a/name", or "pods-on/machine".
func watched(text string) (k kube.Kind, namespace string, s kube.Select, ok bool) {
	parts := strings.Split(text, "/")
	switch parts[0] {
	case kube.Nodes.Name:
		k, ok = kube.Nodes, true
	case kube.ConfigMaps.Name:
		// Only what is published for people.
		return kube.ConfigMaps, manifests.System, kube.Select{Labels: manifests.PlatformLabel + "=true"}, true
	case podsOn:
		if len(parts) != 2 {
			return k, "", s, false
		}
		return kube.Pods, "", kube.Select{Fields: "spec.nodeName=" + parts[1]}, true
	default:
		k, ok = kube.Workload(parts[0])
	}
	if len(parts) > 1 && k.Namespaced {
		namespace = parts[1]
	}
	if len(parts) > 2 {
		s.Fields = "metadata.name=" + parts[2]
	}
	if len(parts) == 2 && !k.Namespaced {
		s.Fields = "metadata.name=" + parts[1]
	}
	return k, namespace, s, ok && len(parts) <= 3
}

// liveOf is the address of a stream about these lists.
func liveOf(lists ...string) string { return "/live?" + values("of", strings.Join(lists, ",")) }

// live tells a page that something of it has changed.
func (c *Console) live(a *asked) error {
	lists := strings.Split(a.URL.Query().Get("of"), ",")
	if len(lists) > 6 {
		return errNowhere
	}
	// It ends with the token: the browser comes again, with the next one.
	ctx, cancel := context.WithDeadline(a.Context(), a.session.Ends)
	defer cancel()
	changed := make(chan struct{}, 1)
	held := false
	for _, text := range lists {
		k, namespace, s, ok := watched(text)
		if !ok {
			return errNowhere
		}
		held = held || k.Held
		go keepWatching(ctx, a.person, k, namespace, s, func() {
			select {
			case changed <- struct{}{}:
			default: // it is told already
			}
		})
	}
	out, err := openStream(a.w)
	if err != nil {
		return err
	}
	c.looking.Add(1)
	defer c.looking.Add(-1)
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	var onceMore <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			err = out.comment()
		case <-onceMore:
			onceMore = nil
			err = out.event("changed", "")
		case <-changed:
			if pause(ctx, settle) != nil {
				return nil
			}
			drain(changed)
			if err = out.event("changed", ""); err == nil {
				err = pause(ctx, min(max(pace, time.Duration(c.looking.Load())*share), mostPace)-settle)
			}
			if held {
				onceMore = time.After(late)
			}
		}
		if err != nil {
			return nil // the browser has gone
		}
	}
}

func drain(c chan struct{}) {
	select {
	case <-c:
	default:
	}
}

// keepWatching watches until ctx ends, or the person may not.
func keepWatching(ctx context.Context, p *kube.Person, k kube.Kind, namespace string, s kube.Select, changed func()) {
	for {
		err := p.Watch(ctx, k, namespace, s, changed)
		if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || pause(ctx, again) != nil {
			return
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// stream is a response of server-sent events.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// writeWithin is how long a browser may take to read what it is sent.
const writeWithin = 20 * time.Second

func openStream(w http.ResponseWriter) (*stream, error) {
	s := &stream{w, http.NewResponseController(w)}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy passes each event on at once
	if err := s.control.Flush(); err != nil {
		return nil, errors.New("this connection cannot be streamed on")
	}
	return s, nil
}

// event sends one; data may have several lines.
func (s *stream) event(name, data string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "event: %s\n", name)
	for _, line := range strings.Split(data, "\n") {
		fmt.Fprintf(&b, "data: %s\n", strings.TrimSuffix(line, "\r"))
	}
	b.WriteString("\n")
	return s.send(b.String())
}

func (s *stream) comment() error { return s.send(": here\n\n") }

func (s *stream) send(text string) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}
