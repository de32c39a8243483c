package main

import (
	"encoding/json"
	"log"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// An api is the small part of Tailscale's API (https://tailscale.com/api) by which a program lists and deletes devices.
type api struct {
	network  *network
	checkKey func(accessToken string) error
}

// An apiDevice is a device as the API shows it; the names of the fields are Tailscale's.
type apiDevice struct {
	ID                 string       `json:"id"`     // the legacy one, a number
	NodeID             string       `json:"nodeId"` // what the device itself calls its ID
	Name               string       `json:"name"`   // with the tailnet's domain
	Hostname           string       `json:"hostname"`
	Addresses          []netip.Addr `json:"addresses"`
	Tags               []string     `json:"tags"`
	Created            time.Time    `json:"created"`
	LastSeen           *time.Time   `json:"lastSeen,omitempty"` // not while it is online
	Authorized         bool         `json:"authorized"`
	ConnectedToControl bool         `json:"connectedToControl"`
	KeyExpiryDisabled  bool         `json:"keyExpiryDisabled"` // as of all devices with tags
}

func (a *api) handler() http.Handler {
	mux := http.NewServeMux()
	// "-" is the tailnet that the access token is of. There is one only.
	mux.HandleFunc("GET /api/v2/tailnet/-/devices", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, map[string][]apiDevice{"devices": a.network.apiDevices()})
	})
	mux.HandleFunc("DELETE /api/v2/device/{id}", func(w http.ResponseWriter, r *http.Request) {
		if !a.network.deleteDevice(r.PathValue("id")) {
			refuse(w, http.StatusNotFound, "no such device")
			return
		}
		w.WriteHeader(http.StatusOK)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, "not in the lab's part of the API: "+r.Method+" "+r.URL.Path)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := a.checkKey(accessToken(r)); err != nil {
			refuse(w, http.StatusUnauthorized, "API token invalid")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// accessToken returns the request's token: a bearer token, or the user name of basic authentication.
func accessToken(r *http.Request) string {
	if user, _, ok := r.BasicAuth(); ok {
		return user
	}
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return token
}

func (d *device) legacyID() string { return strconv.FormatInt(int64(d.ID), 10) }

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, status int, message string) {
	answer(w, status, map[string]string{"message": message})
}

// apiDevices lists the devices of the tailnet, oldest first.
func (n *network) apiDevices() []apiDevice {
	n.mu.Lock()
	defer n.mu.Unlock()
	devices := []apiDevice{}
	for _, d := range n.state.Devices {
		online := d.online()
		report := apiDevice{
			ID:                 d.legacyID(),
			NodeID:             string(d.stableID()),
			Name:               d.Name + "." + domain,
			Hostname:           d.Hostinfo.Hostname,
			Tags:               list(d.Tags),
			Created:            d.Created,
			Authorized:         true,
			ConnectedToControl: online,
			KeyExpiryDisabled:  true,
		}
		for _, address := range d.Addresses {
			report.Addresses = append(report.Addresses, address.Addr())
		}
		if !online && !d.LastSeen.IsZero() {
			report.LastSeen = &d.LastSeen
		}
		devices = append(devices, report)
	}
	return devices
}

// deleteDevice removes the device with this ID, of either kind, from the tailnet; false if there is none. To the device it is
// as if it had never logged in.
func (n *network) deleteDevice(id string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.find(func(d *device) bool { return string(d.stableID()) == id || d.legacyID() == id })
	if d == nil {
		return false
	}
	log.Printf("%s: deleted", d.Name)
	n.removeLocked(d)
	return true
}
