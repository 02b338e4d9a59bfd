package console

import (
	"bufio"
	"context"
	"errors"
	"html/template"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"craton.dev/craton/console/kube"
)

const (
	// logLines is how much of a log is shown at first.
	logLines = 200
	// lineBytes bounds a line: what is longer is cut.
	lineBytes = 16 << 10
	// gather is how long lines are collected before they are sent together.
	gather = 50 * time.Millisecond
)

// logs shows a container's log. With scripts it goes on as the container writes; without
// them it is the last lines.
func (c *Console) logs(a *asked) error {
	ctx, namespace, name := a.Context(), a.PathValue("namespace"), a.PathValue("name")
	var pod corev1.Pod
	if err := a.person.Get(ctx, kube.Pods, namespace, name, &pod); err != nil {
		return err
	}
	container := a.URL.Query().Get("container")
	var tabs []link
	for _, row := range containers(&pod) {
		if container == "" {
			container = row.Name
		}
		tabs = append(tabs, link{row.Name, row.Logs, row.Name == container})
	}
	d := map[string]any{
		"Containers": tabs, "Container": container,
		"Stream": "/logs/" + namespace + "/" + name + "/live?" + values("container", container),
	}
	text, err := readLog(ctx, a.person, namespace, name, container)
	var status apierrors.APIStatus
	switch {
	case apierrors.IsForbidden(err):
		d["Refused"] = refused(err, a.session.Name)
		return c.render(a, 403, "logs", logFrame(namespace, name, d))
	case errors.As(err, &status):
		d["Problem"] = "There is no log: " + status.Status().Message
	case err != nil:
		return err
	}
	d["Lines"] = strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	return c.show(a, "logs", logFrame(namespace, name, d))
}

func logFrame(namespace, name string, d map[string]any) frame {
	return frame{
		Title: "Log of " + name, Data: d,
		Crumbs: []link{{Title: "Workloads", Path: "/workloads"}, {Title: namespace, Path: "/workloads?" + values("ns", namespace)},
			{Title: name, Path: objectPath(kube.Pods, namespace, name)}},
	}
}

func readLog(ctx context.Context, p *kube.Person, namespace, name, container string) (string, error) {
	body, err := p.Logs(ctx, namespace, name, container, logLines, false)
	if err != nil {
		return "", err
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	return string(text), err
}

// liveLogs sends a log's lines as they are written.
func (c *Console) liveLogs(a *asked) error {
	ctx, cancel := context.WithDeadline(a.Context(), a.session.Ends)
	defer cancel()
	body, err := a.person.Logs(ctx, a.PathValue("namespace"), a.PathValue("name"), a.URL.Query().Get("container"), logLines, true)
	if err != nil {
		return err
	}
	defer body.Close()
	out, err := openStream(a.w)
	if err != nil {
		return err
	}
	lines := make(chan string, 64)
	go func() {
		defer close(lines)
		r := bufio.NewReaderSize(body, lineBytes)
		for {
			line, more, err := r.ReadLine()
			if err != nil {
				return
			}
			text := string(line)
			for more && err == nil { // the rest of a long line is left out
				_, more, err = r.ReadLine()
			}
			select {
			case lines <- text:
			case <-ctx.Done():
				return
			}
		}
	}()
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			err = out.comment()
		case line, open := <-lines:
			if !open {
				_ = out.event("end", "") // whether it arrives or not, this is the end
				return nil
			}
			err = out.event("lines", together(line, lines))
		}
		if err != nil {
			return nil // the browser has gone
		}
	}
}

// together are the lines that come within a moment, as text that is safe in a page.
func together(first string, lines <-chan string) string {
	var b strings.Builder
	add := func(line string) {
		b.WriteString(template.HTMLEscapeString(line))
		b.WriteString("<br>")
	}
	add(first)
	for end := time.After(gather); b.Len() < 64<<10; {
		select {
		case line, open := <-lines:
			if !open {
				return b.String()
			}
			add(line)
		case <-end:
			return b.String()
		}
	}
	return b.String()
}
