package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"time"

	"tailscale.com/tailcfg"
)

// A deviceReport is a device as the admin endpoint lists it.
type deviceReport struct {
	ID               tailcfg.StableNodeID `json:"id"`
	Name             string               `json:"name"`     // in the tailnet
	Hostname         string               `json:"hostname"` // as the device says
	NodeKey          string               `json:"nodeKey"`  // short
	Addresses        []netip.Addr         `json:"addresses"`
	Online           bool                 `json:"online"`
	LoggedOut        bool                 `json:"loggedOut"`
	LastSeen         *time.Time           `json:"lastSeen"` // null if it was never offline
	Tags             []string             `json:"tags"`
	AdvertisedRoutes []netip.Prefix       `json:"advertisedRoutes"`
	ApprovedRoutes   []netip.Prefix       `json:"approvedRoutes"`
	PrimaryRoutes    []netip.Prefix       `json:"primaryRoutes"`
}

// devices lists the devices of the tailnet, oldest first.
func (n *network) devices() []deviceReport {
	n.mu.Lock()
	defer n.mu.Unlock()
	reports := []deviceReport{}
	for _, d := range n.state.Devices {
		r := deviceReport{
			ID:               d.stableID(),
			Name:             d.Name,
			Hostname:         d.Hostinfo.Hostname,
			NodeKey:          d.NodeKey.ShortString(),
			Online:           d.online(),
			LoggedOut:        d.LoggedOut,
			Tags:             list(d.Tags),
			AdvertisedRoutes: list(d.Hostinfo.RoutableIPs),
			ApprovedRoutes:   list(sortedRoutes(d.Approved)),
			PrimaryRoutes:    list(n.primaryRoutesLocked(d)),
		}
		for _, a := range d.Addresses {
			r.Addresses = append(r.Addresses, a.Addr())
		}
		if !d.LastSeen.IsZero() {
			r.LastSeen = &d.LastSeen
		}
		reports = append(reports, r)
	}
	return reports
}

// list makes nil an empty JSON array.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func (n *network) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /devices", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		enc.Encode(n.devices())
	})
	// The body is a time (RFC 3339), or empty: never.
	mux.HandleFunc("PUT /devices/{name}/expiry", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest))
		var expires time.Time
		if err == nil && len(body) > 0 {
			expires, err = time.Parse(time.RFC3339, string(body))
		}
		if err == nil {
			err = n.setExpiry(r.PathValue("name"), expires)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	return mux
}
