package etcd

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// identity is which member of which cluster data are.
type identity struct{ Cluster, Member uint64 }

// Kinds of records in a write-ahead log, of those that there are.
const (
	recordIdentity = 1
	recordState    = 3
)

// member reads whose data these are. Without a write-ahead log there is no member: etcd
// makes the first file of it whole, elsewhere, and then renames the folder. ok is false then.
func (d data) member() (id identity, ok bool, err error) {
	logs, err := d.logs()
	if err != nil || len(logs) == 0 {
		return id, false, err
	}
	// Each file starts with the identity. The first one may be the oldest of many years.
	last := logs[len(logs)-1]
	err = readLog(last, func(kind uint64, body []byte) (more bool, err error) {
		if kind != recordIdentity {
			return true, nil
		}
		var meta pb.Metadata
		err = proto.Unmarshal(body, &meta)
		id = identity{Cluster: meta.GetClusterID(), Member: meta.GetNodeID()}
		return false, err
	})
	if err == nil && (id.Cluster == 0 || id.Member == 0) {
		err = errors.New("no identity among its records")
	}
	if err != nil {
		return id, false, fmt.Errorf("%s does not say whose data it is: %w; if the disk has lost it, move %s away, and the machine joins anew", last, err, d.dir)
	}
	return id, true, nil
}

// committed tells whether anything was ever committed here. Nobody can have been told that
// something was written before that.
func (d data) committed() (bool, error) {
	logs, err := d.logs()
	if err != nil || len(logs) != 1 { // a second file comes after 64 MB of the first
		return len(logs) > 1, err
	}
	var found bool
	err = readLog(logs[0], func(kind uint64, body []byte) (more bool, err error) {
		if kind != recordState {
			return true, nil
		}
		commit, err := number(body, 3) // {1: term, 2: vote, 3: commit}
		found = commit > 0
		return !found, err
	})
	return found, err
}

// logs are the paths of the write-ahead log's files, the oldest first.
func (d data) logs() ([]string, error) {
	entries, err := os.ReadDir(d.walDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var logs []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".wal") {
			logs = append(logs, filepath.Join(d.walDir(), e.Name()))
		}
	}
	slices.Sort(logs)
	return logs, nil
}

// readLog calls for each record until there are no more, or it returns false. Checksums are
// etcd's matter. A record is its length, of which the top byte is about the padding that
// follows, and a message {1: kind, 2: checksum, 3: body}. The file is made in its full
// length, so zeros are its end.
func readLog(path string, each func(kind uint64, body []byte) (more bool, err error)) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	r := bufio.NewReader(f)
	for {
		var frame uint64
		if err := binary.Read(r, binary.LittleEndian, &frame); errors.Is(err, io.EOF) || err == nil && frame == 0 {
			return nil
		} else if err != nil {
			return fmt.Errorf("the length of a record: %w", err)
		}
		length, padding := int64(frame&(1<<56-1)), int64(0)
		if frame>>63 != 0 {
			padding = int64(frame >> 56 & 7)
		}
		if length > info.Size() {
			return fmt.Errorf("a record of %d bytes in a file of %d", length, info.Size())
		}
		record := make([]byte, length+padding)
		if _, err := io.ReadFull(r, record); err != nil {
			return fmt.Errorf("a record of %d bytes: %w", length, err)
		}
		kind, err := number(record[:length], 1)
		if err != nil {
			return err
		}
		body, err := field(record[:length], 3)
		if err != nil {
			return err
		}
		if more, err := each(kind, body); err != nil || !more {
			return err
		}
	}
}

// number is a message's field that is a number, 0 where it is not there.
func number(message []byte, want protowire.Number) (uint64, error) {
	raw, err := raw(message, want, protowire.VarintType)
	if err != nil || raw == nil {
		return 0, err
	}
	value, _ := protowire.ConsumeVarint(raw)
	return value, nil
}

// field is a message's field of bytes, nil where it is not there.
func field(message []byte, want protowire.Number) ([]byte, error) {
	raw, err := raw(message, want, protowire.BytesType)
	if err != nil || raw == nil {
		return nil, err
	}
	value, _ := protowire.ConsumeBytes(raw)
	return value, nil
}

func raw(message []byte, want protowire.Number, as protowire.Type) ([]byte, error) {
	for len(message) > 0 {
		number, wire, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil, fmt.Errorf("not a record of etcd's: %w", protowire.ParseError(n))
		}
		message = message[n:]
		if n = protowire.ConsumeFieldValue(number, wire, message); n < 0 {
			return nil, fmt.Errorf("not a record of etcd's: %w", protowire.ParseError(n))
		}
		if number == want && wire == as {
			return message[:n], nil
		}
		message = message[n:]
	}
	return nil, nil
}
