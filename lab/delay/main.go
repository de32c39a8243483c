// Command delay delays the frames towards one host, for kernels without netem: traffic control leads what would leave by the
// host's link to a TAP device, and this passes it on to the link when it is due. It ends when either of the two is deleted.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// How often it says how many frames were dropped, if any were.
const reportPeriod = 10 * time.Second

func main() {
	tapName := flag.String("tap", "", "the TAP device that the frames come from, which exists")
	linkName := flag.String("link", "", "the network interface that they go to")
	delay := flag.Duration("delay", 0, "how long frames are kept")
	jitter := flag.Duration("jitter", 0, "give or take up to this")
	flag.Parse()
	if *delay < 0 || *jitter < 0 || flag.NArg() > 0 {
		log.Fatalf("delay: --delay=%v --jitter=%v %v: neither may be below zero, and there are no arguments",
			*delay, *jitter, flag.Args())
	}
	link, err := openLink(*linkName)
	fatalIf(err)
	// The last, for this gives the device its carrier, by which others see that all is ready.
	tap, err := openTAP(*tapName)
	fatalIf(err)
	log.Printf("frames to %s: %v, give or take %v", *linkName, *delay, *jitter)

	r := &relay{
		schedule: schedule{delay: *delay, jitter: *jitter, random: rand.Float64},
		queue:    newQueue(maxFrames, maxBytes),
	}
	go r.report(*tapName)
	ended := make(chan error, 2)
	go func() { ended <- r.receive(tap) }()
	go func() { ended <- r.send(link) }()
	fatalIf(<-ended)
	log.Printf("%s or %s is deleted", *tapName, *linkName)
}

// A relay passes frames on.
type relay struct {
	schedule schedule
	queue    *queue
	refused  atomic.Int64 // by the link
	why      atomic.Value // the last error of the link
}

// receive queues what comes from the TAP device until that is deleted.
func (r *relay) receive(tap *os.File) error {
	buffer := make([]byte, frameSize)
	for {
		n, err := tap.Read(buffer)
		switch {
		case errors.Is(err, unix.EBADFD) || errors.Is(err, unix.EFAULT):
			return nil
		case err != nil:
			return err
		}
		r.queue.put(frame{r.schedule.due(time.Now()), append([]byte(nil), buffer[:n]...)})
	}
}

// send passes on what is due until the link is deleted.
func (r *relay) send(link int) error {
	for {
		f, done := r.queue.get()
		wait(f.due)
		_, err := unix.Write(link, f.data)
		done()
		switch {
		case err == nil || errors.Is(err, unix.ENETDOWN): // a cable that is out
		case errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV):
			return nil
		default:
			r.why.Store(err.Error())
			r.refused.Add(1)
		}
	}
}

// wait sleeps by the system call, which is exact to some 0.1 ms; time.Sleep is so to 1 ms.
func wait(due time.Time) {
	for left := time.Until(due); left > 0; left = time.Until(due) {
		timespec := unix.NsecToTimespec(left.Nanoseconds())
		// Interrupted, it sleeps again for what is left.
		_ = unix.Nanosleep(&timespec, nil)
	}
}

// report says how many frames were dropped, and where, whenever it is more than before.
func (r *relay) report(tap string) {
	said := r.drops(tap)
	for range time.Tick(reportPeriod) {
		if now := r.drops(tap); now != said {
			log.Printf("frames dropped so far: %s", now)
			said = now
		}
	}
}

func (r *relay) drops(tap string) string {
	unread, _ := os.ReadFile("/sys/class/net/" + tap + "/statistics/tx_dropped")
	why, _ := r.why.Load().(string)
	return fmt.Sprintf("%s before they were read, %d by a full queue, %d by the link %s",
		strings.TrimSpace(string(unread)), r.queue.dropped.Load(), r.refused.Load(), why)
}

func fatalIf(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
