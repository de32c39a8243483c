package main

import "testing"

func TestQueueDropsWhatComesWhenFull(t *testing.T) {
	for _, limit := range []struct {
		name   string
		frames int
		bytes  int64
	}{{"frames", 2, 1000}, {"bytes", 10, 250}} {
		q := newQueue(limit.frames, limit.bytes)
		for i := range 4 {
			q.put(frame{data: make([]byte, 100+i)})
		}
		if n := q.dropped.Load(); n != 2 {
			t.Errorf("%s: %d frames are dropped, want 2", limit.name, n)
		}
		for i := range 2 {
			f, done := q.get()
			if len(f.data) != 100+i {
				t.Errorf("%s: frame %d has %d bytes, want %d", limit.name, i, len(f.data), 100+i)
			}
			done()
		}
		if n := q.bytes.Load(); n != 0 {
			t.Errorf("%s: the empty queue holds %d bytes", limit.name, n)
		}
	}
}
