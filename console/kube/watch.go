package kube

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// asMetadata asks for no more of a changed object than who it is.
const (
	asMetadata     = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
	asMetadataList = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
)

// mostEvent bounds an event of a watch.
const mostEvent = 4 << 20

// Watch calls changed for each change of what is selected, and once at the start, until ctx
// ends, the API server ends it (after some minutes, with no error), or the person may no
// longer. What has changed is not told: whoever shows it asks again.
func (p *Person) Watch(ctx context.Context, k Kind, namespace string, s Select, changed func()) error {
	body, err := s.apply(p.request(http.MethodGet, k.path(namespace, ""))).
		SetHeader("Accept", asMetadata).Param("watch", "true").Param("resourceVersion", "").
		// Only what comes from now on: the page has just been made.
		Param("sendInitialEvents", "false").Param("resourceVersionMatch", string(metav1.ResourceVersionMatchNotOlderThan)).
		Stream(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	changed()
	lines := bufio.NewReaderSize(body, 16<<10)
	for n := 0; ; {
		part, more, err := lines.ReadLine()
		if err == io.EOF || ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("watch %s: %w", k.Name, err)
		}
		if n == 0 && bytes.HasPrefix(part, []byte(`{"type":"ERROR"`)) {
			return nil // too old, or the server goes away: begin anew
		}
		if n += len(part); n > mostEvent {
			return fmt.Errorf("watch %s: an event of more than %d bytes", k.Name, mostEvent)
		}
		if !more {
			n = 0
			changed()
		}
	}
}
