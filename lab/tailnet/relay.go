package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"tailscale.com/derp/derpserver"
	"tailscale.com/net/stun"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
)

const derpRegion = 1

// derpMap tells clients of the one DERP server, whose certificate they must not check: it is self-signed.
func derpMap(addr netip.Addr, derpPort, stunPort int) *tailcfg.DERPMap {
	return &tailcfg.DERPMap{Regions: map[int]*tailcfg.DERPRegion{derpRegion: {
		RegionID:   derpRegion,
		RegionCode: "lab",
		RegionName: "Lab",
		Nodes: []*tailcfg.DERPNode{{
			Name:             "lab1",
			RegionID:         derpRegion,
			HostName:         addr.String(),
			IPv4:             addr.String(),
			IPv6:             "none",
			DERPPort:         derpPort,
			STUNPort:         stunPort,
			STUNTestIP:       addr.String(),
			InsecureForTests: true,
		}},
	}}}
}

// serveDERP relays packets between clients that have no direct path yet; it returns only on failure.
func serveDERP(ln net.Listener, addr netip.Addr) error {
	cert, err := selfSigned(addr)
	if err != nil {
		return err
	}
	derp := derpserver.New(key.NewNode(), func(format string, args ...any) {
		if !strings.HasPrefix(format, "[v") { // verbose
			log.Printf("derp: "+format, args...)
		}
	})
	mux := http.NewServeMux()
	mux.Handle("/derp", derpserver.Handler(derp))
	mux.Handle("/derp/", derpserver.Handler(derp))
	server := http.Server{
		Handler:      mux,
		TLSConfig:    &tls.Config{Certificates: []tls.Certificate{cert}},
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}, // DERP takes over the connection: no HTTP/2
	}
	return server.ServeTLS(ln, "", "")
}

func selfSigned(addr netip.Addr) (tls.Certificate, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(10, 0, 0),
		IPAddresses:  []net.IP{addr.AsSlice()},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, err
}

// serveSTUN tells clients the address their packets come from; it returns only on failure.
func serveSTUN(conn net.PacketConn) error {
	buf := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return err
		}
		if id, err := stun.ParseBindingRequest(buf[:n]); err == nil {
			peer := from.(*net.UDPAddr).AddrPort()
			conn.WriteTo(stun.Response(id, netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())), from)
		}
	}
}
