// Package snapshot is about etcd's snapshots as files: whether one is whole, what it holds,
// and whose data it is. It changes no file.
//
// It takes no snapshot (package operate/etcd does, of an etcd that runs) and restores none
// (etcd's own etcdutl does).
package snapshot

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
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

// Hash hashes all but the last bytes that are written to it, which are to be the hash.
type Hash struct {
	hash hash.Hash
	tail []byte
}

// NewHash is a Hash of nothing yet.
func NewHash() *Hash { return &Hash{hash: sha256.New()} }

func (t *Hash) Write(p []byte) (int, error) {
	t.tail = append(t.tail, p...)
	if surplus := len(t.tail) - sha256.Size; surplus > 0 {
		t.hash.Write(t.tail[:surplus])
		t.tail = append(t.tail[:0], t.tail[surplus:]...)
	}
	return len(p), nil
}

// page is the smallest part of a database: a copy is some of them, and a hash.
const page = 512

// What a snapshot's file can be instead of one.
var (
	ErrTruncated = errors.New("truncated, or no snapshot of etcd's")
	ErrAltered   = errors.New("altered since it was made, or damaged")
)

// Check is about all n bytes that were written. It returns the hexadecimal hash of the data;
// the error is ErrTruncated or ErrAltered.
func (t *Hash) Check(n int64) (string, error) {
	if n <= sha256.Size || n%page != sha256.Size {
		return "", fmt.Errorf("%w: %d bytes: expected whole pages of %d bytes and a hash of %d behind them", ErrTruncated, n, page, sha256.Size)
	}
	digest := fmt.Sprintf("%x", t.hash.Sum(nil))
	if want := fmt.Sprintf("%x", t.tail); digest != want {
		return "", fmt.Errorf("%w: the SHA-256 of its data is %s, but it says %s", ErrAltered, digest, want)
	}
	return digest, nil
}
