package etcd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/encoding/protowire"

	"craton.dev/craton/durable"
)

// CommitLog declares all entries of a member's log committed, and returns the last one's
// index. It is for a copy of the data of the one member that is left of a cluster: etcd then
// starts on it with --force-new-cluster, which drops every entry that the member does not
// know to be committed. A member learns that after the client has, so without this some of what was
// acknowledged last would be lost. An entry that nobody had acknowledged may come to be: its
// writer was told nothing, and no other member is left to say otherwise.
//
// No etcd may run on the data. The error says where the log is damaged; an end that was being
// written when the power went is none, and is cut off as etcd would.
func CommitLog(dir string) (uint64, error) {
	logs, err := data{filepath.Clean(dir)}.logs()
	if err != nil {
		return 0, err
	}
	if len(logs) == 0 {
		return 0, fmt.Errorf("%s holds no log of etcd's", dir)
	}
	path := logs[len(logs)-1]
	contents, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	log, err := readTail(contents)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	if log.last == 0 {
		// A file is named after the first entry that will be in it.
		var sequence, first uint64
		if _, err := fmt.Sscanf(filepath.Base(path), "%016x-%016x.wal", &sequence, &first); err != nil {
			return 0, fmt.Errorf("%s: not a name of etcd's: %w", path, err)
		}
		log.last = max(first, 1) - 1
	}
	if log.last <= log.state.commit {
		return log.state.commit, nil
	}
	log.state.commit = log.last
	log.state.term = max(log.state.term, log.term)
	return log.last, appendRecord(path, contents, log)
}

// hardState is raft's: {1: term, 2: vote, 3: commit}.
type hardState struct{ term, vote, commit uint64 }

// tail is what there is to know of a log's last file.
type tail struct {
	// end is behind the last whole record, whose checksum, which goes over all before, is sum.
	end   int
	sum   uint32
	state hardState
	// last and term are those of the last entry in the file, 0 where there is none.
	last, term uint64
}

// Kinds of records, beside those that others look at.
const (
	recordEntry = 2
	recordSum   = 4
)

const (
	frame = 8
	// sector is what a disk writes as a whole.
	sector = 512
)

var sums = crc32.MakeTable(crc32.Castagnoli)

// readTail reads a whole file and checks each record's checksum.
func readTail(file []byte) (tail, error) {
	var t tail
	for t.end+frame <= len(file) {
		length := binary.LittleEndian.Uint64(file[t.end:])
		if length == 0 {
			break
		}
		size, padding := int(length&(1<<56-1)), 0
		if length>>63 != 0 {
			padding = int(length >> 56 & 7)
		}
		begin := t.end + frame
		if size > len(file)-begin-padding {
			break // it did not get to its end
		}
		record := file[begin : begin+size]
		kind, body, sum, err := t.check(record)
		if err != nil {
			if torn(file[begin:begin+size+padding], begin) {
				break
			}
			return t, fmt.Errorf("damaged at byte %d: %w", t.end, err)
		}
		switch kind {
		case recordEntry: // {1: type, 2: term, 3: index, 4: data}; a later one takes the place of those of its index and above
			t.term, err = number(body, 2)
			if err == nil {
				t.last, err = number(body, 3)
			}
		case recordState:
			t.state, err = parseState(body)
		}
		if err != nil {
			return t, fmt.Errorf("damaged at byte %d: %w", t.end, err)
		}
		t.sum = sum
		t.end = begin + size + padding
	}
	if t.end == 0 {
		return t, errors.New("it holds no record")
	}
	return t, nil
}

// check compares a record {1: kind, 2: checksum, 3: body} with its checksum.
func (t *tail) check(record []byte) (kind uint64, body []byte, sum uint32, err error) {
	kind, err1 := number(record, 1)
	said, err2 := number(record, 2)
	body, err3 := field(record, 3)
	if err := errors.Join(err1, err2, err3); err != nil {
		return 0, nil, 0, err
	}
	if kind == recordSum {
		return kind, body, uint32(said), nil // where a file begins, it says where the last one ended
	}
	if sum = crc32.Update(t.sum, sums, body); uint64(sum) != said {
		return 0, nil, 0, fmt.Errorf("the checksum is %08x, but the record says %08x", sum, said)
	}
	return kind, body, sum, nil
}

// torn tells whether a part of a record never got to the disk: one of its sectors is empty.
func torn(record []byte, at int) bool {
	for len(record) > 0 {
		n := min(sector-at%sector, len(record))
		if len(bytes.TrimLeft(record[:n], "\x00")) == 0 {
			return true
		}
		record, at = record[n:], at+n
	}
	return false
}

func parseState(body []byte) (s hardState, err error) {
	for i, into := range []*uint64{&s.term, &s.vote, &s.commit} {
		var e error
		*into, e = number(body, protowire.Number(i+1))
		err = errors.Join(err, e)
	}
	return s, err
}

// appendRecord writes the state behind the last whole record, and nothing behind it.
func appendRecord(path string, file []byte, t tail) error {
	var body, record []byte
	for i, value := range []uint64{t.state.term, t.state.vote, t.state.commit} {
		body = protowire.AppendTag(body, protowire.Number(i+1), protowire.VarintType)
		body = protowire.AppendVarint(body, value)
	}
	record = protowire.AppendTag(record, 1, protowire.VarintType)
	record = protowire.AppendVarint(record, recordState)
	record = protowire.AppendTag(record, 2, protowire.VarintType)
	record = protowire.AppendVarint(record, uint64(crc32.Update(t.sum, sums, body)))
	record = protowire.AppendTag(record, 3, protowire.BytesType)
	record = protowire.AppendBytes(record, body)
	length := uint64(len(record))
	if padding := (frame - len(record)%frame) % frame; padding > 0 {
		length |= uint64(0x80|padding) << 56
		record = append(record, make([]byte, padding)...)
	}
	whole := append(binary.LittleEndian.AppendUint64(bytes.Clone(file[:t.end]), length), record...)
	if surplus := len(file) - len(whole); surplus > 0 {
		whole = append(whole, make([]byte, surplus)...)
	}
	return durable.WriteFile(path, whole, 0o600)
}
