package main

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Frames come and go behind a virtio_net_hdr of 10 bytes, so that they stay what they are: up to 64 KB that the kernel would
// cut up, and checksums that it would fill in, for a wire only. The header is passed on as it comes.
const frameSize = 10 + 14 + 1<<16

// The offloads of frames that may come, and UDP segmentation, which kernels before 6.2 do not know.
const (
	offloads    = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN
	udpOffloads = unix.TUN_F_USO4 | unix.TUN_F_USO6
)

// openTAP attaches to an existing TAP device, which is where frames come from. Reads fail once the device is deleted.
func openTAP(name string) (*os.File, error) {
	if _, err := net.InterfaceByName(name); err != nil {
		return nil, fmt.Errorf("TAP device %s: %w", name, err)
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		return nil, fmt.Errorf("TAP device %s: %w", name, err)
	}
	request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		return nil, fmt.Errorf("TAP device %s: %w", name, err)
	}
	err = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, offloads|udpOffloads)
	if errors.Is(err, unix.EINVAL) {
		err = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, offloads)
	}
	if err != nil {
		return nil, fmt.Errorf("offloads of TAP device %s: %w", name, err)
	}
	// Not earlier: epoll never hears of a descriptor that had no device when it was added.
	return os.NewFile(uintptr(fd), name), nil
}

// openLink returns a socket that sends to a network interface, past its queueing discipline and traffic control: those lead
// to the TAP device. It receives nothing.
func openLink(name string) (int, error) {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return -1, fmt.Errorf("link %s: %w", name, err)
	}
	// A socket of protocol 0 receives nothing.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("packet socket: %w", err)
	}
	if err := errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1),
		unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: link.Index}),
	); err != nil {
		return -1, fmt.Errorf("packet socket of link %s: %w", name, err)
	}
	return fd, nil
}
