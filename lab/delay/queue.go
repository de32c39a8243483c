package main

import (
	"sync/atomic"
	"time"
)

// What a queue holds at most. A second of 2 Gbit/s, and of 250,000 frames: more than this program passes on.
const (
	maxFrames = 250_000
	maxBytes  = 256 << 20
)

type frame struct {
	due  time.Time
	data []byte // behind its virtio_net_hdr
}

// A queue holds frames, in order, until they are due. It drops what comes when it is full, as a switch does.
type queue struct {
	frames  chan frame
	bytes   atomic.Int64
	limit   int64
	dropped atomic.Int64
}

func newQueue(frames int, bytes int64) *queue {
	return &queue{frames: make(chan frame, frames), limit: bytes}
}

func (q *queue) put(f frame) {
	size := int64(len(f.data))
	if q.bytes.Add(size) <= q.limit {
		select {
		case q.frames <- f:
			return
		default:
		}
	}
	q.bytes.Add(-size)
	q.dropped.Add(1)
}

// get waits for the next frame; its time may be still to come, and until done it counts as held.
func (q *queue) get() (f frame, done func()) {
	f = <-q.frames
	return f, func() { q.bytes.Add(-int64(len(f.data))) }
}
