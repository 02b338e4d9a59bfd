package etcd

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Copy says where a snapshot comes from. The data themselves do not name their cluster:
// keep this beside them.
type Copy struct {
	// Cluster and Member are hexadecimal.
	Cluster string `json:"cluster"`
	Member  string `json:"member"`
	// Revision is the last one that is surely in the copy.
	Revision int64 `json:"revision"`
	// Storage is the version of the data's layout, such as 3.7.0; "" before 3.6.
	Storage string `json:"storage,omitempty"`
	// Bytes is the length, SHA256 the hexadecimal hash of the data without the hash that etcd
	// appends to them.
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Snapshot copies all data of the cluster to w, with the hash behind them that etcd itself and
// Verify look at. Everything that was acknowledged before the call is in the copy, which
// needs a quorum and, in the client, a single endpoint. It fails where the stream ends early
// or is not what etcd hashed; what was written to w is worth nothing then.
func Snapshot(ctx context.Context, c *clientv3.Client, w io.Writer) (Copy, error) {
	if n := len(c.Endpoints()); n != 1 {
		return Copy{}, fmt.Errorf("snapshot: %d endpoints: expected the one whose data are copied", n)
	}
	from := c.Endpoints()[0]
	// The answer comes once the member has what every other has acknowledged.
	limited, cancel := context.WithTimeout(ctx, changeFor)
	defer cancel()
	read, err := c.Get(limited, "\x00", clientv3.WithCountOnly())
	if err != nil {
		return Copy{}, fmt.Errorf("snapshot of %s: it is not in touch with a quorum: %w", from, err)
	}
	stream, err := c.SnapshotWithVersion(ctx)
	if err != nil {
		return Copy{}, fmt.Errorf("snapshot of %s: %w", from, err)
	}
	defer stream.Snapshot.Close()
	sum := newTrailing()
	n, err := io.Copy(io.MultiWriter(w, sum), stream.Snapshot)
	if err != nil {
		return Copy{}, fmt.Errorf("snapshot of %s: after %d bytes: %w", from, n, err)
	}
	digest, err := sum.check(n)
	if err != nil {
		return Copy{}, fmt.Errorf("snapshot of %s: %w", from, err)
	}
	return Copy{
		Cluster: hex(read.Header.ClusterId), Member: hex(read.Header.MemberId), Revision: read.Header.Revision,
		Storage: stream.Version, Bytes: n, SHA256: digest,
	}, nil
}

// trailing hashes all but the last bytes that it gets, which are to be the hash.
type trailing struct {
	hash hash.Hash
	tail []byte
}

func newTrailing() *trailing { return &trailing{hash: sha256.New()} }

func (t *trailing) Write(p []byte) (int, error) {
	t.tail = append(t.tail, p...)
	if surplus := len(t.tail) - sha256.Size; surplus > 0 {
		t.hash.Write(t.tail[:surplus])
		t.tail = append(t.tail[:0], t.tail[surplus:]...)
	}
	return len(p), nil
}

// page is the smallest part of a database: a copy is some of them, and a hash.
const page = 512

var (
	errTruncated = errors.New("truncated, or no snapshot of etcd's")
	errAltered   = errors.New("altered since it was made, or damaged")
)

// check is about all n bytes. It returns the hash of the data.
func (t *trailing) check(n int64) (string, error) {
	if n <= sha256.Size || n%page != sha256.Size {
		return "", fmt.Errorf("%w: %d bytes: expected whole pages of %d bytes and a hash of %d behind them", errTruncated, n, page, sha256.Size)
	}
	digest := fmt.Sprintf("%x", t.hash.Sum(nil))
	if want := fmt.Sprintf("%x", t.tail); digest != want {
		return "", fmt.Errorf("%w: the SHA-256 of its data is %s, but it says %s", errAltered, digest, want)
	}
	return digest, nil
}
