package verify

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"craton.dev/craton/machines/local"
)

// station sends and sees packets at one namespace's link to the fabric, below its kernel's
// own rules, services and connection tracking, all of which it leaves alone: what arrives
// here, the fabric let through.
type station struct {
	fd   int
	mac  net.HardwareAddr
	via  net.HardwareAddr
	stop chan struct{}
	done sync.WaitGroup
}

// receiveBuffer holds the frames of more than a whole batch, so that a slow reader loses none.
const receiveBuffer = 64 << 20

func openStation(p Platform, place local.Place, see func(*station, packet)) (*station, error) {
	s := &station{fd: -1, via: place.Via, stop: make(chan struct{})}
	err := p.In(place.Namespace, func() error {
		link, err := net.InterfaceByName(place.Interface)
		if err != nil {
			return err
		}
		s.mac = link.HardwareAddr
		ip := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_IP))
		if s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer); err != nil {
			return err
		}
		if err := unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50000}); err != nil {
			return err
		}
		return unix.Bind(s.fd, &unix.SockaddrLinklayer{Protocol: ip, Ifindex: link.Index})
	})
	if err != nil {
		if s.fd >= 0 {
			unix.Close(s.fd)
		}
		return nil, fmt.Errorf("watch the link of %s: %w", place.Namespace, err)
	}
	s.done.Go(func() { s.read(see) })
	return s, nil
}

func (s *station) read(see func(*station, packet)) {
	b := make([]byte, 2048)
	for {
		select {
		case <-s.stop:
			return
		default:
		}
		n, err := unix.Read(s.fd, b)
		if err != nil {
			if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
				continue
			}
			return
		}
		if p, ok := parse(b[:n]); ok {
			see(s, p)
		}
	}
}

// send puts a packet on the link; it waits where the link's queue is full.
func (s *station) send(b []byte, p packet) error {
	frame := p.frame(b, s.mac, s.via)
	for try := 0; ; try++ {
		_, err := unix.Write(s.fd, frame)
		if err == nil || !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) || try == 1000 {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

func (s *station) close() {
	close(s.stop)
	s.done.Wait()
	unix.Close(s.fd)
}
