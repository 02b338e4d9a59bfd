package checkpoint

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// runtime asks the container runtime what runs, by the kubelet's interface to it (CRI),
// which is gRPC. Two calls without streams are little more than HTTP/2, and gRPC's own
// module would take more memory than all the rest of this program.
type runtime struct {
	client *http.Client
}

const runtimeTimeout = 2 * time.Second

// newRuntime is that behind a socket, "/run/…" or, as the kubelet writes it, "unix:///run/…".
func newRuntime(socket string) (*runtime, error) {
	socket = strings.TrimPrefix(socket, "unix://")
	if !strings.HasPrefix(socket, "/") {
		return nil, fmt.Errorf("the container runtime's socket is %q: expected a path from the root", socket)
	}
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	return &runtime{client: &http.Client{Transport: &http.Transport{
		Protocols: protocols,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
		DisableCompression: true,
		// A runtime that hangs is given up after that, and its connection with it.
		HTTP2: &http.HTTP2Config{SendPingTimeout: runtimeTimeout, PingTimeout: runtimeTimeout},
	}}}, nil
}

// running is a container of the control plane's namespace that runs.
type running struct {
	component string // the container's name
	pod       string // its pod's uid
	// file: its pod is from a file of the machine, not from the API.
	file bool
}

// What the kubelet writes on what it makes.
const (
	criContainer = "io.kubernetes.container.name"
	criPod       = "io.kubernetes.pod.uid"
	criNamespace = "io.kubernetes.pod.namespace"
	criSource    = "kubernetes.io/config.source"
	criFile      = "file"
)

// The numbers of the fields of runtime/v1's messages, and of values in them.
const (
	listFilter = 1
	listItems  = 1

	filterState         = 2
	stateValue          = 1
	sandboxAnnotations  = 6
	sandboxID           = 1
	sandboxFilterLabels = 3

	containerSandbox      = 2
	containerLabels       = 8
	containerFilterLabels = 4
	containerRunning      = 1

	mapKey, mapValue = 1, 2
)

// list is what runs of the control plane's namespace.
func (r *runtime) list(ctx context.Context) ([]running, error) {
	containers, err := r.call(ctx, "ListContainers", filter(containerFilterLabels, containerRunning))
	if err != nil {
		return nil, err
	}
	sandboxes, err := r.call(ctx, "ListPodSandbox", filter(sandboxFilterLabels, 0))
	if err != nil {
		return nil, err
	}
	fromFile := map[string]bool{}
	for _, item := range sandboxes {
		m, err := message(item)
		if err != nil {
			return nil, fmt.Errorf("the container runtime's pods: %w", err)
		}
		annotations, err := m.strings(sandboxAnnotations)
		if err != nil {
			return nil, fmt.Errorf("the container runtime's pods: %w", err)
		}
		fromFile[string(m.first(sandboxID))] = annotations[criSource] == criFile
	}
	var out []running
	for _, item := range containers {
		m, err := message(item)
		if err != nil {
			return nil, fmt.Errorf("the container runtime's containers: %w", err)
		}
		labels, err := m.strings(containerLabels)
		if err != nil {
			return nil, fmt.Errorf("the container runtime's containers: %w", err)
		}
		file, known := fromFile[string(m.first(containerSandbox))]
		if !known {
			continue // begun after the one list, or ended before the other
		}
		out = append(out, running{labels[criContainer], labels[criPod], file})
	}
	return out, nil
}

// filter asks for what is in the control plane's namespace, and in a state unless that is 0.
func filter(labels protowire.Number, state uint64) []byte {
	var entry, f, out []byte
	entry = protowire.AppendTag(entry, mapKey, protowire.BytesType)
	entry = protowire.AppendString(entry, criNamespace)
	entry = protowire.AppendTag(entry, mapValue, protowire.BytesType)
	entry = protowire.AppendString(entry, namespace)
	if state != 0 {
		var value []byte
		value = protowire.AppendTag(value, stateValue, protowire.VarintType)
		value = protowire.AppendVarint(value, state)
		f = protowire.AppendTag(f, filterState, protowire.BytesType)
		f = protowire.AppendBytes(f, value)
	}
	f = protowire.AppendTag(f, labels, protowire.BytesType)
	f = protowire.AppendBytes(f, entry)
	out = protowire.AppendTag(out, listFilter, protowire.BytesType)
	return protowire.AppendBytes(out, f)
}

// maxAnswer is far more than a machine's containers need.
const maxAnswer = 16 << 20

// call makes one call of the runtime and returns the items of its answer.
func (r *runtime) call(ctx context.Context, method string, request []byte) ([][]byte, error) {
	fail := func(err error) ([][]byte, error) {
		return nil, fmt.Errorf("the container runtime, %s: %w", method, err)
	}
	ctx, cancel := context.WithTimeout(ctx, runtimeTimeout)
	defer cancel()
	// A message in gRPC has five bytes before it: not compressed, and its length.
	body := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(request)))
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://runtime/runtime.v1.RuntimeService/"+method, bytes.NewReader(append(body, request...)))
	if err != nil {
		return fail(err)
	}
	post.Header.Set("Content-Type", "application/grpc")
	post.Header.Set("TE", "trailers")
	response, err := r.client.Do(post)
	if err != nil {
		return fail(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fail(err)
	}
	status, text := response.Trailer.Get("Grpc-Status"), response.Trailer.Get("Grpc-Message")
	if status == "" { // without a message, the trailers are the header
		status, text = response.Header.Get("Grpc-Status"), response.Header.Get("Grpc-Message")
	}
	if response.StatusCode != http.StatusOK || status != "0" {
		return fail(fmt.Errorf("HTTP %d, gRPC status %q: %s", response.StatusCode, status, text))
	}
	if len(answer) < 5 || answer[0] != 0 || int64(binary.BigEndian.Uint32(answer[1:])) != int64(len(answer)-5) {
		return fail(fmt.Errorf("an answer of %d bytes is not one whole message", len(answer)))
	}
	m, err := message(answer[5:])
	if err != nil {
		return fail(err)
	}
	return m[listItems], nil
}

// fields are those of a message that have a length: messages, texts.
type fields map[protowire.Number][][]byte

func message(data []byte) (fields, error) {
	out := fields{}
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		data = data[n:]
		if kind == protowire.BytesType {
			value, n := protowire.ConsumeBytes(data)
			if n < 0 {
				return nil, protowire.ParseError(n)
			}
			out[number] = append(out[number], value)
			data = data[n:]
			continue
		}
		if n = protowire.ConsumeFieldValue(number, kind, data); n < 0 {
			return nil, protowire.ParseError(n)
		}
		data = data[n:]
	}
	return out, nil
}

func (f fields) first(n protowire.Number) []byte {
	if len(f[n]) == 0 {
		return nil
	}
	return f[n][0]
}

// strings is a map of texts.
func (f fields) strings(n protowire.Number) (map[string]string, error) {
	out := make(map[string]string, len(f[n]))
	for _, entry := range f[n] {
		m, err := message(entry)
		if err != nil {
			return nil, err
		}
		out[string(m.first(mapKey))] = string(m.first(mapValue))
	}
	return out, nil
}
