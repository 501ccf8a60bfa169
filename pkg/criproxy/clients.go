package criproxy

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/peer"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/unixsocket"
)

const (
	// maxClients bounds the processes that are counted by name; all others are one.
	maxClients   = 16
	otherClients = "other"
	// maxProcess is more than the kernel keeps of a process' name.
	maxProcess = 32
)

// imageService is how the methods of the image service begin.
const imageService = "/runtime.v1.ImageService/"

// Client is a process that calls the proxy.
type Client struct {
	Process    string // its name; "" where the socket or the kernel does not tell
	PID        int    // the latest
	Calls      uint64
	ImageCalls uint64    // of the image service
	LastImage  time.Time // zero where there was none
}

// clients counts who calls. The proxy's own probes are left out.
type clients struct {
	log *slog.Logger

	mu     sync.Mutex
	byName map[string]*client
}

type client struct {
	process           string
	pid               atomic.Int64
	calls, imageCalls atomic.Uint64
	lastImageCall     atomic.Int64 // Unix nanoseconds
	isItself          bool
}

func newClients(log *slog.Logger) *clients { return &clients{log: log, byName: map[string]*client{}} }

// of returns the client behind a connection. It asks the kernel, once a connection.
func (c *clients) of(conn net.Conn) *client {
	pid := unixsocket.PeerPID(conn)
	if pid == os.Getpid() {
		return &client{isItself: true}
	}
	process := processName(pid)
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.byName[process]
	if known == nil {
		if len(c.byName) >= maxClients {
			process = otherClients
		}
		if known = c.byName[process]; known == nil {
			known = &client{process: process}
			c.byName[process] = known
		}
	}
	known.pid.Store(int64(pid))
	return known
}

// processName returns the name of a process, "" where that cannot be read.
func processName(pid int) string {
	if pid <= 0 {
		return ""
	}
	name, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	if err != nil {
		return ""
	}
	return textutil.Line(strings.TrimSpace(string(name)), maxProcess)
}

// clientAddr is the address of a connection that also says who connected.
type clientAddr struct {
	net.Addr
	client *client
}

// called counts a call. Every call passes here, so it does little but add.
func (c *clients) called(ctx context.Context, method string) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return
	}
	addr, ok := p.Addr.(clientAddr)
	if !ok || addr.client.isItself {
		return
	}
	from := addr.client
	from.calls.Add(1)
	if !strings.HasPrefix(method, imageService) {
		return
	}
	from.lastImageCall.Store(time.Now().UnixNano())
	if from.imageCalls.Add(1) == 1 {
		c.log.Info("first image call", "process", from.process, "pid", from.pid.Load(), "method", method)
	}
}

// Clients lists the processes that have called, the latest image call first.
func (s *Server) Clients() []Client {
	s.clients.mu.Lock()
	defer s.clients.mu.Unlock()
	var all []Client
	for c := range maps.Values(s.clients.byName) {
		one := Client{Process: c.process, PID: int(c.pid.Load()), Calls: c.calls.Load(), ImageCalls: c.imageCalls.Load()}
		if at := c.lastImageCall.Load(); at != 0 {
			one.LastImage = time.Unix(0, at)
		}
		if one.Calls > 0 {
			all = append(all, one)
		}
	}
	slices.SortFunc(all, func(a, b Client) int {
		if order := b.LastImage.Compare(a.LastImage); order != 0 {
			return order
		}
		return strings.Compare(a.Process, b.Process)
	})
	return all
}
