// Command tailnet is a coordination server for a tailnet on one machine: Tailscale's control protocol, a DERP relay and
// STUN, for unmodified clients. It does what Tailscale's own does for subnet routers: routes of tagged devices are
// approved by a policy, and of all devices that advertise a route one is its primary.
package main

import (
	"context"
	"crypto/subtle"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	log.SetFlags(log.LstdFlags | log.Lmicroseconds)
	addr := flag.String("address", "127.0.0.1", "address to listen on, which clients must reach")
	controlPort := flag.Int("control-port", 3340, "TCP port of the control server (http)")
	derpPort := flag.Int("derp-port", 3341, "TCP port of the DERP relay (https, self-signed)")
	stunPort := flag.Int("stun-port", 3478, "UDP port of STUN")
	keyFile := flag.String("auth-key-file", "authkey", "file with the one auth key, which is reusable; read at each login")
	controlPlaneKeyFile := flag.String("control-plane-key-file", "", "file with another one, whose devices get the control planes' tag, too")
	apiKeyFile := flag.String("api-key-file", "apikey", "file with the one access token of the API; read at each request")
	keepLoggedOut := flag.Bool("keep-logged-out", false, "keep a device that logs out until it is deleted, as Tailscale does")
	tags := flag.String("tags", "tag:k8s", "tags of every device, comma separated")
	controlPlaneTag := flag.String("control-plane-tag", "tag:k8s-control-plane", "tag of the devices that join by the control planes' key")
	approve := flag.String("approve", "", "prefixes within which advertised routes are approved, comma separated; PREFIX=TAG: of devices with that tag")
	statePath := flag.String("state", "state.json", "file that keeps the devices")
	adminSocket := flag.String("admin", "admin.sock", "Unix socket of the admin endpoint (GET /devices, PUT /devices/NAME/expiry)")
	flag.Parse()

	ip, err := netip.ParseAddr(*addr)
	fatalIf(err)
	approvals, err := parseApprovals(*approve)
	fatalIf(err)
	st, err := loadState(*statePath)
	fatalIf(err)
	n := newNetwork(policy{
		approve: approvals,
		keyTags: func(authKey string) ([]string, error) {
			all := strings.Split(*tags, ",")
			if *controlPlaneKeyFile != "" && checkSecret(*controlPlaneKeyFile, authKey) == nil {
				return append(all, *controlPlaneTag), nil
			}
			return all, checkSecret(*keyFile, authKey)
		},
		keepLoggedOut: *keepLoggedOut,
	}, derpMap(ip, *derpPort, *stunPort), st, saveTo(*statePath))

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	listen := net.ListenConfig{Control: freeBind}
	at := func(port int) string { return netip.AddrPortFrom(ip, uint16(port)).String() }
	controlListener, err := listen.Listen(ctx, "tcp", at(*controlPort))
	fatalIf(err)
	derpListener, err := listen.Listen(ctx, "tcp", at(*derpPort))
	fatalIf(err)
	stunConn, err := listen.ListenPacket(ctx, "udp", at(*stunPort))
	fatalIf(err)
	os.Remove(*adminSocket) // a killed server leaves it
	adminListener, err := net.Listen("unix", *adminSocket)
	fatalIf(err)
	defer adminListener.Close()

	control := &control{network: n, key: st.ControlKey}
	api := &api{network: n, checkKey: func(token string) error { return checkSecret(*apiKeyFile, token) }}
	mux := http.NewServeMux()
	mux.Handle("/", control.handler())
	mux.Handle("/api/", api.handler())
	go func() { fatalIf(http.Serve(controlListener, mux)) }()
	go func() { fatalIf(serveDERP(derpListener, ip)) }()
	go func() { fatalIf(serveSTUN(stunConn)) }()
	go func() {
		if err := http.Serve(adminListener, n.adminHandler()); !errors.Is(err, net.ErrClosed) {
			fatalIf(err)
		}
	}()
	log.Printf("control and API http://%s, DERP %s/tcp, STUN %s/udp; %d devices known",
		at(*controlPort), at(*derpPort), at(*stunPort), len(st.Devices))
	<-ctx.Done()
}

// checkSecret compares a key with the one in a file, so that a test can rotate it under a running server.
func checkSecret(path, given string) error {
	want, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("cannot check the key: %w", err)
	}
	trimmed := strings.TrimSpace(string(want))
	if trimmed == "" || subtle.ConstantTimeCompare([]byte(trimmed), []byte(given)) != 1 {
		return errors.New("invalid key: unable to validate API key")
	}
	return nil
}

func parseApprovals(s string) (approvals []approval, err error) {
	for field := range strings.SplitSeq(s, ",") {
		if field == "" {
			continue
		}
		prefix, tag, _ := strings.Cut(field, "=")
		p, err := netip.ParsePrefix(prefix)
		if err != nil {
			return nil, err
		}
		approvals = append(approvals, approval{p, tag})
	}
	return approvals, nil
}

// freeBind lets the server start before the network that its address is on.
func freeBind(_, _ string, conn syscall.RawConn) error {
	var setErr error
	err := conn.Control(func(fd uintptr) {
		setErr = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_FREEBIND, 1)
	})
	return errors.Join(err, setErr)
}

func fatalIf(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
