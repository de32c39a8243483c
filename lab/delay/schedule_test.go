package main

import (
	"math/rand/v2"
	"testing"
	"time"
)

const ms = time.Millisecond

// delays returns how long each of n frames is kept that come so far apart.
func delays(s *schedule, n int, apart time.Duration) []time.Duration {
	now := time.Unix(1, 0)
	kept := make([]time.Duration, n)
	for i := range kept {
		kept[i] = s.due(now).Sub(now)
		now = now.Add(apart)
	}
	return kept
}

func seeded(delay, jitter time.Duration) *schedule {
	return &schedule{delay: delay, jitter: jitter, random: rand.New(rand.NewPCG(1, 2)).Float64}
}

// wantSpread checks that delays are within the jitter and use each quarter of it: for a quarter of the frames, or for the
// share that a tolerance takes off.
func wantSpread(t *testing.T, kept []time.Duration, delay, jitter time.Duration, tolerance float64) {
	t.Helper()
	var quarters [4]int
	for _, d := range kept {
		if d < delay-jitter || d > delay+jitter {
			t.Fatalf("a frame is kept for %v, want %v give or take %v", d, delay, jitter)
		}
		quarters[min(3, 4*(d-delay+jitter)/(2*jitter))]++
	}
	for i, n := range quarters {
		if share := float64(n) / float64(len(kept)); share < 0.25-tolerance || share > 0.25+tolerance {
			t.Errorf("quarter %d of the jitter has %.3f of the frames, want 0.25 give or take %.2f", i, share, tolerance)
		}
	}
}

func TestDelayWithoutJitter(t *testing.T) {
	for _, d := range delays(seeded(40*ms, 0), 100, ms) {
		if d != 40*ms {
			t.Fatalf("a frame is kept for %v, want 40 ms", d)
		}
	}
}

func TestJitterOfSingleFrames(t *testing.T) {
	wantSpread(t, delays(seeded(100*ms, 30*ms), 10_000, 200*ms), 100*ms, 30*ms, 0.02)
}

// A dense stream has the same jitter, but that a fall of the delay cannot be steeper than time.
func TestJitterOfAStream(t *testing.T) {
	wantSpread(t, delays(seeded(100*ms, 30*ms), 1_000_000, ms/10), 100*ms, 30*ms, 0.1)
}

func TestOrderIsKept(t *testing.T) {
	s := seeded(50*ms, 50*ms)
	arrivals := rand.New(rand.NewPCG(3, 4))
	now := time.Unix(1, 0)
	var last time.Time
	for range 100_000 {
		now = now.Add(time.Duration(arrivals.Int64N(int64(20 * ms))))
		due := s.due(now)
		if due.Before(last) {
			t.Fatalf("a frame overtakes the one ahead by %v", last.Sub(due))
		}
		if due.Before(now) {
			t.Fatalf("a frame is due %v before it comes", now.Sub(due))
		}
		last = due
	}
}

func TestJitterAboveDelay(t *testing.T) {
	none := 0
	for _, d := range delays(seeded(10*ms, 30*ms), 10_000, 100*ms) {
		if d < 0 || d > 40*ms {
			t.Fatalf("a frame is kept for %v, want 0 to 40 ms", d)
		}
		if d == 0 {
			none++
		}
	}
	if none < 3000 || none > 3700 {
		t.Errorf("%d of 10000 frames are not kept, want a third", none)
	}
}
