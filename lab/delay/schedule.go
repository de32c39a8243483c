package main

import "time"

// A schedule says when each frame of a link is passed on: delay after it came, give or take up to jitter, and never before
// the frame ahead of it.
//
// The order is kept because the paths that this stands for keep it. Then the deviation cannot be drawn for each frame: in a
// dense stream all would wait for the slowest, and have the delay's upper end without any jitter. A path's delay changes
// with its queues, so a deviation is drawn, uniformly, and holds for a period of twice the jitter, which is as long as a
// frame can have to wait behind those of the period before.
type schedule struct {
	delay, jitter time.Duration
	random        func() float64 // in [0, 1)

	drawn   time.Time // when current was drawn
	current time.Duration
	last    time.Time // when the frame ahead is passed on
}

// due returns when to pass on a frame that came now. A delay below zero is none.
func (s *schedule) due(now time.Time) time.Time {
	if s.drawn.IsZero() || now.Sub(s.drawn) >= 2*s.jitter {
		s.drawn = now
		s.current = max(0, s.delay+time.Duration((2*s.random()-1)*float64(s.jitter)))
	}
	if due := now.Add(s.current); due.After(s.last) {
		s.last = due
	}
	return s.last
}
