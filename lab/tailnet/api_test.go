package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"tailscale.com/types/key"
)

const accessKey = "tskey-api-good"

// call makes one request to the API and returns its status and body.
func call(t *testing.T, n *network, method, path string, authorize func(*http.Request)) (int, string) {
	t.Helper()
	a := &api{network: n, checkKey: func(token string) error {
		if token != accessKey {
			return errors.New("invalid key")
		}
		return nil
	}}
	r := httptest.NewRequest(method, path, nil)
	authorize(r)
	w := httptest.NewRecorder()
	a.handler().ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func bearer(r *http.Request) { r.Header.Set("Authorization", "Bearer "+accessKey) }

func apiDevicesOf(t *testing.T, n *network) []apiDevice {
	t.Helper()
	status, body := call(t, n, "GET", "/api/v2/tailnet/-/devices", bearer)
	var listed struct{ Devices []apiDevice }
	if err := json.Unmarshal([]byte(body), &listed); status != 200 || err != nil {
		t.Fatalf("list: %d %s", status, body)
	}
	return listed.Devices
}

func TestAPIAuthorization(t *testing.T) {
	n := testNetwork(t, filepath.Join(t.TempDir(), "state.json"))
	for name, c := range map[string]struct {
		authorize func(*http.Request)
		want      int
	}{
		"bearer":               {bearer, 200},
		"basic":                {func(r *http.Request) { r.SetBasicAuth(accessKey, "") }, 200},
		"none":                 {func(*http.Request) {}, 401},
		"wrong bearer":         {func(r *http.Request) { r.Header.Set("Authorization", "Bearer tskey-api-bad") }, 401},
		"as basic's password":  {func(r *http.Request) { r.SetBasicAuth("", accessKey) }, 401},
		"auth key of a device": {func(r *http.Request) { r.SetBasicAuth(goodKey, "") }, 401},
	} {
		if got, body := call(t, n, "GET", "/api/v2/tailnet/-/devices", c.authorize); got != c.want {
			t.Errorf("%s: %d %s, want %d", name, got, body, c.want)
		}
	}
	newClient("cp1").login(n, goodKey)
	if got, _ := call(t, n, "DELETE", "/api/v2/device/1", func(*http.Request) {}); got != 401 {
		t.Errorf("delete without a key: %d", got)
	}
	wantNames(t, n, "cp1")
}

func TestAPIListsDevices(t *testing.T) {
	n := testNetwork(t, filepath.Join(t.TempDir(), "state.json"))
	if devices := apiDevicesOf(t, n); devices == nil || len(devices) != 0 {
		t.Errorf("of no device: %v, want an empty list", devices)
	}
	cp1 := newClient("cp1")
	cp1.login(n, goodKey)
	newClient("cp1").login(n, goodKey)
	defer cp1.poll(t, n)()
	devices := apiDevicesOf(t, n)
	if len(devices) != 2 {
		t.Fatalf("%d devices", len(devices))
	}
	d := devices[1]
	if d.ID != "2" || d.NodeID != string(n.devices()[1].ID) || d.Name != "cp1-1."+domain || d.Hostname != "cp1" ||
		d.Addresses[0].String() != "100.64.0.2" || d.Tags[0] != "tag:k8s" || d.ConnectedToControl {
		t.Errorf("the second device: %+v", d)
	}
	if !devices[0].ConnectedToControl || devices[0].LastSeen != nil {
		t.Errorf("the device that is online: %+v", devices[0])
	}
}

func TestAPIDeletesDevices(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	n := testNetwork(t, path)
	a, b, c := newClient("cp1"), newClient("cp2"), newClient("cp3")
	for _, client := range []*client{a, b, c} {
		client.login(n, goodKey)
		client.advertise(t, n, "10.200.0.1/32")
	}
	var peer mapView
	if _, _, err := n.nextMap(c.machine, c.node, &peer); err != nil {
		t.Fatal(err)
	}
	devices := apiDevicesOf(t, n)
	for _, path := range []string{devices[0].NodeID, devices[1].ID} {
		if status, body := call(t, n, "DELETE", "/api/v2/device/"+path, bearer); status != 200 {
			t.Errorf("delete %s: %d %s", path, status, body)
		}
		if status, _ := call(t, n, "DELETE", "/api/v2/device/"+path, bearer); status != 404 {
			t.Errorf("delete %s again: %d", path, status)
		}
	}
	wantNames(t, n, "cp3")
	wantNames(t, testNetwork(t, path), "cp3")
	if routes := n.devices()[0].PrimaryRoutes; len(routes) != 1 {
		t.Errorf("the last router carries %v", routes)
	}
	if res, _, err := n.nextMap(c.machine, c.node, &peer); err != nil || len(res.PeersRemoved) != 2 {
		t.Errorf("the map of a peer: %+v, %v", res, err)
	}
	if _, _, err := n.nextMap(a.machine, a.node, new(mapView)); !errors.Is(err, errUnknownDevice) {
		t.Errorf("the map of the deleted device: %v", err)
	}
	if res := a.login(n, ""); res.AuthURL == "" {
		t.Errorf("a deleted device came back without a key: %+v", res)
	}
	if status, _ := call(t, n, "DELETE", "/api/v2/device/", bearer); status != 404 {
		t.Errorf("delete without an ID: %d", status)
	}
}

func TestLoggedOutDeviceStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	n := testNetwork(t, path)
	n.policy.keepLoggedOut = true
	a, b := newClient("cp1"), newClient("cp2")
	for _, client := range []*client{a, b} {
		client.login(n, goodKey)
		client.advertise(t, n, "10.200.0.1/32")
	}
	defer a.poll(t, n)()
	was := apiDevicesOf(t, n)[0]
	a.logout(n)
	if is := apiDevicesOf(t, n)[0]; !was.ConnectedToControl || is.ConnectedToControl {
		t.Errorf("online before its logout: %v, after: %v", was.ConnectedToControl, is.ConnectedToControl)
	}
	wantNames(t, n, "cp1", "cp2")
	if routes := n.devices()[1].PrimaryRoutes; len(routes) != 1 {
		t.Errorf("the other router carries %v", routes)
	}
	if res, _, err := n.nextMap(b.machine, b.node, new(mapView)); err != nil || len(res.Peers) != 0 {
		t.Errorf("its peer sees %+v, %v", res, err)
	}
	if res := a.login(n, ""); res.AuthURL == "" {
		t.Errorf("it came back without a key: %+v", res)
	}

	reinstalled := newClient("cp1")
	reinstalled.login(n, goodKey)
	wantNames(t, n, "cp1", "cp2", "cp1-1")

	n = testNetwork(t, path)
	a.node = key.NewNode().Public()
	a.login(n, goodKey)
	if is := apiDevicesOf(t, n)[0]; is.NodeID != was.NodeID || is.Addresses[0] != was.Addresses[0] {
		t.Errorf("the machine logged in again as %+v, was %+v", is, was)
	}
	a.logout(n)
	if status, _ := call(t, n, "DELETE", "/api/v2/device/"+was.NodeID, bearer); status != 404 {
		t.Errorf("delete of a device that logged out and was not kept: %d", status)
	}
}
