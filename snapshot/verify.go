package snapshot

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
)

// Contents are what a snapshot holds.
type Contents struct {
	// Revision is the last one.
	Revision int64 `json:"revision"`
	// Keys is how many there are, without those that were deleted.
	Keys int `json:"keys"`
	// Cluster is the version of etcd that the cluster agreed on, such as 3.7.0. The id of the
	// cluster is not in the data.
	ClusterVersion string `json:"clusterVersion,omitempty"`
	// Members are the names of the members at that time.
	Members []string `json:"members"`
	Bytes   int64    `json:"bytes"`
	SHA256  string   `json:"sha256"`
}

// Verify reads a snapshot's file, changes nothing, and fails where it is truncated, altered,
// or not one of etcd's: the error names the file. It needs memory for the names of the keys.
func Verify(path string) (Contents, error) {
	c, err := verify(path)
	if err != nil {
		return Contents{}, fmt.Errorf("snapshot %s: %w; take another one", path, err)
	}
	return c, nil
}

func verify(path string) (c Contents, err error) {
	f, err := os.Open(path)
	if err != nil {
		return c, err
	}
	sum := NewHash()
	c.Bytes, err = io.Copy(sum, f)
	if err := errors.Join(err, f.Close()); err != nil {
		return c, err
	}
	// The hash comes first: what it vouches for is as a database left it. bbolt itself would
	// follow a damaged page to anywhere.
	if c.SHA256, err = sum.Check(c.Bytes); err != nil {
		return c, err
	}
	db, err := bbolt.Open(path, 0, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return c, fmt.Errorf("no database of etcd's: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return c, db.View(func(tx *bbolt.Tx) error {
		keys := tx.Bucket([]byte("key"))
		if keys == nil {
			return errors.New(`no database of etcd's: it has no bucket "key"`)
		}
		if err := c.keys(keys); err != nil {
			return err
		}
		if b := tx.Bucket([]byte("cluster")); b != nil {
			c.ClusterVersion = string(b.Get([]byte("clusterVersion")))
		}
		return c.members(tx.Bucket([]byte("members")))
	})
}

// keys reads the changes, which lie in the order of their revisions: 8 bytes, '_', 8 bytes
// of the change's number within the revision, and 't' where it is a deletion.
func (c *Contents) keys(b *bbolt.Bucket) error {
	const plain, deletion = 17, 18
	live := map[string]struct{}{}
	err := b.ForEach(func(k, v []byte) error {
		if len(k) != plain && len(k) != deletion || k[8] != '_' {
			return fmt.Errorf("no database of etcd's: revision %q", k)
		}
		c.Revision = int64(binary.BigEndian.Uint64(k))
		var change mvccpb.KeyValue
		if err := proto.Unmarshal(v, &change); err != nil {
			return fmt.Errorf("revision %d: %w", c.Revision, err)
		}
		if len(k) == deletion {
			delete(live, string(change.Key))
		} else {
			live[string(change.Key)] = struct{}{}
		}
		return nil
	})
	c.Keys = len(live)
	return err
}

func (c *Contents) members(b *bbolt.Bucket) error {
	c.Members = []string{}
	if b == nil {
		return nil
	}
	err := b.ForEach(func(k, v []byte) error {
		var m struct {
			Name string `json:"name"`
		}
		if err := json.Unmarshal(v, &m); err != nil {
			return fmt.Errorf("member %s: %w", k, err)
		}
		c.Members = append(c.Members, m.Name)
		return nil
	})
	slices.Sort(c.Members)
	return err
}

// Value is what the key holds, or nil where there is no such key. The file has to be one
// that Verify has called whole.
func Value(path, key string) ([]byte, error) {
	db, err := bbolt.Open(path, 0, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", path, err)
	}
	defer db.Close()
	var value []byte
	return value, db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("key"))
		if b == nil {
			return nil
		}
		return b.ForEach(func(k, v []byte) error {
			var change mvccpb.KeyValue
			if err := proto.Unmarshal(v, &change); err != nil {
				return fmt.Errorf("snapshot %s: %w", path, err)
			}
			if string(change.Key) == key {
				value = change.Value // nil where it is a deletion
			}
			return nil
		})
	})
}
