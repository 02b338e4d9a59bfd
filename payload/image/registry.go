package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"craton.dev/craton/command"
)

const arch = runtime.GOARCH

// Registry is a running registry that only this process can reach.
type Registry struct {
	transport *http.Transport
	stop      context.CancelFunc
	ended     chan error
	dir       *os.File
}

// Serve starts the registry program on the storage folder root, behind a socket in the
// folder work. Close ends it.
func Serve(ctx context.Context, program, root, work string) (*Registry, error) {
	dir, err := os.Open(work)
	if err != nil {
		return nil, err
	}
	// A socket's path may have 107 bytes only: both sides name it relative to the folder.
	socket := fmt.Sprintf("/proc/self/fd/%d/socket", dir.Fd())
	// JSON is YAML too, and needs no escaping of ours.
	config, err := json.Marshal(map[string]any{
		"version": "0.1",
		"log":     map[string]any{"level": "error", "accesslog": map[string]any{"disabled": true}},
		"storage": map[string]any{
			"filesystem":  map[string]any{"rootdirectory": root},
			"maintenance": map[string]any{"uploadpurging": map[string]any{"enabled": false}},
		},
		"http": map[string]any{"net": "unix", "addr": "socket", "secret": "for uploads of this process only"},
	})
	if err != nil {
		return nil, err
	}
	path := filepath.Join(work, "config.yaml")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	r := &Registry{stop: stop, ended: make(chan error, 1), dir: dir}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	r.transport = &http.Transport{DialContext: dial}
	go func() {
		_, err := command.Cmd{
			Name: program, Args: []string{"serve", path}, Dir: work, Timeout: time.Hour,
			Env:  []string{"OTEL_TRACES_EXPORTER=none"},
			Attr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
		}.Run(ctx)
		r.ended <- err
	}()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := dial(ctx, "", "")
		if err == nil {
			conn.Close()
			return r, nil
		}
		select {
		case err := <-r.ended:
			r.ended <- err
			r.Close()
			return nil, fmt.Errorf("the registry did not start: %w", err)
		default:
		}
		if time.Now().After(deadline) {
			r.Close()
			return nil, errors.New("the registry did not start within 20 s")
		}
	}
}

// Close ends the registry; its storage stays.
func (r *Registry) Close() {
	r.transport.CloseIdleConnections()
	r.stop()
	<-r.ended
	r.dir.Close()
}

// Push stores an image under its upstream name, such as registry.k8s.io/pause:3.10,
// without the host: that is how a mirror of several registries is asked for it.
func (r *Registry) Push(ctx context.Context, ref string, img v1.Image) error {
	repository, tag := split(ref)
	to, err := name.NewTag("localhost/"+repository+":"+tag, name.Insecure)
	if err != nil {
		return err
	}
	return remote.Write(to, img, remote.WithContext(ctx), remote.WithTransport(r.transport))
}

// Stored returns the digest under which the storage folder root has the image, or "".
func Stored(root, ref string) string {
	repository, tag := split(ref)
	data, err := os.ReadFile(filepath.Join(root, "docker/registry/v2/repositories", repository,
		"_manifests/tags", tag, "current/link"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// split turns host/some/name:tag into some/name and tag.
func split(ref string) (repository, tag string) {
	_, rest, _ := strings.Cut(ref, "/")
	i := strings.LastIndex(rest, ":")
	return rest[:i], rest[i+1:]
}
