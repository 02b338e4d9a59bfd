package local

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/florianl/go-nflog/v2"
	"github.com/vishvananda/netns"

	"craton.dev/craton/render/nftables"
)

// Drop is one packet that the fabric dropped, as its log has it.
type Drop struct {
	Time time.Time `json:"time"`
	// Rule is the role and direction whose rules had no place for it, or "spoofed".
	Rule        string     `json:"rule"`
	Source      netip.Addr `json:"source"`
	Destination netip.Addr `json:"destination"`
	Protocol    string     `json:"protocol"`
	Port        uint16     `json:"port"`
}

// Drops are the packets in the fabric's log from a place in it on, and the place after the last
// of them. A log that has become shorter is read from its beginning.
func (p *Platform) Drops(from int64) ([]Drop, int64, error) {
	f, err := os.Open(p.dropLog())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, from, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, from, err
	} else if info.Size() < from {
		from = 0
	}
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return nil, from, err
	}
	var drops []Drop
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return drops, from, nil // what is left of it is just being written
		}
		if err != nil {
			return drops, from, err
		}
		from += int64(len(line))
		var d Drop
		if json.Unmarshal(line, &d) == nil {
			drops = append(drops, d)
		}
	}
}

func (p *Platform) dropLog() string { return p.path("log", "drops.json") }

// logDrops writes the fabric's dropped packets to w, a line of JSON each, till ctx ends.
// The rules limit how many are reported.
func (p *Platform) logDrops(ctx context.Context, w io.Writer) error {
	ns, err := netns.GetFromName(p.namespace(fabricNS))
	if err != nil {
		return err
	}
	defer ns.Close()
	nf, err := nflog.Open(&nflog.Config{Group: dropGroup, Copymode: nflog.CopyPacket, Bufsize: 64, NetNS: int(ns)})
	if err != nil {
		return err
	}
	defer nf.Close()
	enc := json.NewEncoder(w)
	err = nf.RegisterWithErrorFunc(ctx, func(a nflog.Attribute) int {
		if a.Payload == nil || a.Prefix == nil {
			return 0
		}
		if d, ok := parseDrop(*a.Payload); ok {
			d.Time = time.Now().UTC()
			d.Rule = strings.TrimSpace(strings.TrimPrefix(strings.TrimRight(*a.Prefix, "\x00"), nftables.LogPrefix))
			enc.Encode(d)
		}
		return 0
	}, func(error) int { return 0 }) // a full buffer loses a line of the log, no more
	if err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// parseDrop reads the heads of an IPv4 packet; ok is false where it is none.
func parseDrop(packet []byte) (d Drop, ok bool) {
	if len(packet) < 20 || packet[0]>>4 != 4 {
		return d, false
	}
	head := int(packet[0]&0x0f) * 4
	d.Source = netip.AddrFrom4([4]byte(packet[12:16]))
	d.Destination = netip.AddrFrom4([4]byte(packet[16:20]))
	d.Protocol = "other"
	if name, known := protocols[packet[9]]; known {
		d.Protocol = string(name)
		if head >= 20 && len(packet) >= head+4 {
			d.Port = binary.BigEndian.Uint16(packet[head+2 : head+4])
		}
	}
	return d, true
}
