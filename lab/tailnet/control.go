package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"time"

	"golang.org/x/net/http2"
	"tailscale.com/control/controlhttp/controlhttpserver"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
	"tailscale.com/util/zstdframe"
)

const (
	// A client's connection that brings nothing for probeInterval is probed, and closed if no answer comes within
	// probeTimeout. With reconnectGrace, a host that dies silently is offline after 8 to 12 s: Tailscale moves its routes
	// within about 15 s.
	probeInterval = 4 * time.Second
	probeTimeout  = 6 * time.Second

	keepAliveInterval = 50 * time.Second // clients give up a map poll that is silent for 120 s
	maxRequest        = 4 << 20          // bytes
)

// A control speaks Tailscale's control protocol: HTTP/2 within Noise within an upgraded HTTP/1.1 connection.
//
// It stands on the same packages as Tailscale's own tstest/integration/testcontrol and replaces it, because that one cannot
// remove a device, refuses a known device that comes back without a key, keeps nothing over a restart, has no tags of a
// key and no unique names, and panics on a request that it does not know.
type control struct {
	network *network
	key     key.MachinePrivate
}

type machineKey struct{} // of the context value that holds the machine's public key

func (c *control) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /key", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		// Clients take a zero LegacyPublicKey for "not asked yet" and would ask again for each login.
		json.NewEncoder(w).Encode(tailcfg.OverTLSPublicKeyResponse{
			LegacyPublicKey: c.key.Public(),
			PublicKey:       c.key.Public(),
		})
	})
	mux.HandleFunc("/ts2021", c.serveNoise)
	return mux
}

func (c *control) serveNoise(w http.ResponseWriter, r *http.Request) {
	conn, err := controlhttpserver.AcceptHTTP(r.Context(), w, r, c.key, nil)
	if err != nil {
		log.Printf("%s: no Noise connection: %v", r.RemoteAddr, err)
		return
	}
	defer conn.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /machine/register", c.serveRegister)
	mux.HandleFunc("POST /machine/map", c.serveMap)
	mux.HandleFunc("POST /machine/update-health", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	})
	h2 := http2.Server{ReadIdleTimeout: probeInterval, PingTimeout: probeTimeout}
	h2.ServeConn(conn, &http2.ServeConnOpts{
		Context:    context.WithValue(r.Context(), machineKey{}, conn.Peer()),
		BaseConfig: &http.Server{Handler: mux},
	})
}

func (c *control) serveRegister(w http.ResponseWriter, r *http.Request) {
	var req tailcfg.RegisterRequest
	if !decode(w, r, &req) {
		return
	}
	if req.NodeKey.IsZero() || req.Hostinfo == nil {
		http.Error(w, "NodeKey and Hostinfo are required", http.StatusBadRequest)
		return
	}
	if req.Followup != "" { // the client waits for somebody to log in on a web page, which there is not
		<-r.Context().Done()
		return
	}
	w.Write(mustJSON(c.network.register(machineOf(r), &req)))
}

func (c *control) serveMap(w http.ResponseWriter, r *http.Request) {
	var req tailcfg.MapRequest
	if !decode(w, r, &req) {
		return
	}
	machine := machineOf(r)
	if !req.Stream { // a streaming poll only listens
		if !req.ReadOnly {
			if err := c.network.update(machine, &req); err != nil {
				http.Error(w, err.Error(), http.StatusNotFound)
				return
			}
		}
		if req.OmitPeers {
			return
		}
	} else {
		detach, err := c.network.attach(machine, req.NodeKey)
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		defer detach()
	}

	keepAlive := time.NewTicker(keepAliveInterval)
	defer keepAlive.Stop()
	var view mapView
	for {
		res, changed, err := c.network.nextMap(machine, req.NodeKey, &view)
		if err != nil {
			return // logged out
		}
		if res != nil {
			if err := writeMap(w, &req, res); err != nil {
				return
			}
		}
		if !req.Stream {
			return
		}
		select {
		case <-changed:
		case <-keepAlive.C:
			if err := writeMap(w, &req, &tailcfg.MapResponse{KeepAlive: true}); err != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

// writeMap sends a message of a map poll: its length in four bytes, then itself.
func writeMap(w http.ResponseWriter, req *tailcfg.MapRequest, res *tailcfg.MapResponse) error {
	body := mustJSON(res)
	if req.Compress == "zstd" {
		body = zstdframe.AppendEncode(nil, body, zstdframe.FastestCompression)
	}
	msg := binary.LittleEndian.AppendUint32(nil, uint32(len(body)))
	if _, err := w.Write(append(msg, body...)); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}

func machineOf(r *http.Request) key.MachinePublic {
	return r.Context().Value(machineKey{}).(key.MachinePublic)
}

// decode reads a JSON request, or answers that it cannot and returns false.
func decode(w http.ResponseWriter, r *http.Request, v any) bool {
	if err := json.NewDecoder(io.LimitReader(r.Body, maxRequest)).Decode(v); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}
