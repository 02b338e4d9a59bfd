package etcd

import (
	"context"
	"fmt"
	"io"

	clientv3 "go.etcd.io/etcd/client/v3"

	"craton.dev/craton/snapshot"
)

// Snapshot copies all data of the cluster to w, with the hash behind them that etcd itself and
// package snapshot look at. Everything that was acknowledged before the call is in the copy, which
// needs a quorum and, in the client, a single endpoint. It fails where the stream ends early
// or is not what etcd hashed; what was written to w is worth nothing then.
func Snapshot(ctx context.Context, c *clientv3.Client, w io.Writer) (snapshot.Copy, error) {
	if n := len(c.Endpoints()); n != 1 {
		return snapshot.Copy{}, fmt.Errorf("snapshot: %d endpoints: expected the one whose data are copied", n)
	}
	from := c.Endpoints()[0]
	// The answer comes once the member has what every other has acknowledged.
	limited, cancel := context.WithTimeout(ctx, changeFor)
	defer cancel()
	read, err := c.Get(limited, "\x00", clientv3.WithCountOnly())
	if err != nil {
		return snapshot.Copy{}, fmt.Errorf("snapshot of %s: it is not in touch with a quorum: %w", from, err)
	}
	stream, err := c.SnapshotWithVersion(ctx)
	if err != nil {
		return snapshot.Copy{}, fmt.Errorf("snapshot of %s: %w", from, err)
	}
	defer stream.Snapshot.Close()
	sum := snapshot.NewHash()
	n, err := io.Copy(io.MultiWriter(w, sum), stream.Snapshot)
	if err != nil {
		return snapshot.Copy{}, fmt.Errorf("snapshot of %s: after %d bytes: %w", from, n, err)
	}
	digest, err := sum.Check(n)
	if err != nil {
		return snapshot.Copy{}, fmt.Errorf("snapshot of %s: %w", from, err)
	}
	return snapshot.Copy{
		Cluster: hex(read.Header.ClusterId), Member: hex(read.Header.MemberId), Revision: read.Header.Revision,
		Storage: stream.Version, Bytes: n, SHA256: digest,
	}, nil
}
