package main

import (
	"net/netip"
	"testing"

	"tailscale.com/tailcfg"
)

func TestElectPrimary(t *testing.T) {
	const cp1, cp2, cp3 = 11, 12, 13
	for _, tc := range []struct {
		name    string
		current tailcfg.NodeID
		routers []router
		want    tailcfg.NodeID
	}{
		{"no router", cp1, nil, 0},
		{"the only router", 0, []router{{cp2, 5, true}}, cp2},
		{"the oldest advertiser first, whatever its ID", 0, []router{{cp1, 9, true}, {cp3, 2, true}, {cp2, 4, true}}, cp3},
		{"an older advertiser that is offline is passed over", 0, []router{{cp1, 1, false}, {cp2, 2, true}}, cp2},
		{"the current primary stays beside an older advertiser", cp2, []router{{cp1, 1, true}, {cp2, 2, true}}, cp2},
		{"moves when the primary goes offline", cp1, []router{{cp1, 1, false}, {cp3, 3, true}, {cp2, 2, true}}, cp2},
		{"moves when the primary withdraws the route", cp1, []router{{cp2, 2, true}, {cp3, 3, true}}, cp2},
		{"stays when nobody is online", cp2, []router{{cp1, 1, false}, {cp2, 2, false}}, cp2},
		{"withdrawn with nobody online", cp3, []router{{cp2, 2, false}, {cp1, 1, false}}, cp1},
		{"withdrawn by the last router", cp1, []router{}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := electPrimary(tc.current, tc.routers); got != tc.want {
				t.Errorf("electPrimary(%d, %v) = %d, want %d", tc.current, tc.routers, got, tc.want)
			}
		})
	}
}

func TestApproved(t *testing.T) {
	within := []netip.Prefix{netip.MustParsePrefix("10.200.0.1/32"), netip.MustParsePrefix("10.50.0.0/16")}
	for route, want := range map[string]bool{
		"10.200.0.1/32": true,
		"10.50.3.0/24":  true,
		"10.50.0.0/16":  true,
		"10.200.0.2/32": false,
		"10.200.0.0/24": false,
		"10.0.0.0/8":    false,
		"10.51.0.0/24":  false,
		"0.0.0.0/0":     false,
		"::/0":          false,
	} {
		if got := approved(within, netip.MustParsePrefix(route)); got != want {
			t.Errorf("approved(%s) = %v, want %v", route, got, want)
		}
	}
}
