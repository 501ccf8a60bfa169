package soak

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imagefit/imagefit/integration/stack"
	"github.com/imagefit/imagefit/pkg/health"
)

// get asks a daemon over its HTTP socket.
func get(ctx context.Context, socket, path string) (string, error) {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

func statusOf(ctx context.Context, socket string) (health.Status, error) {
	var s health.Status
	text, err := get(ctx, socket, "/status")
	if err == nil {
		err = json.Unmarshal([]byte(text), &s)
	}
	return s, err
}

// burden is what a daemon holds. A part of it that could not be read is 0.
type burden struct {
	rssMiB          float64
	fds, goroutines int
}

// sample is what there was at a time.
type sample struct {
	at            time.Time
	proxy, plugin burden
	stateMiB      float64
}

func (n *node) sample(ctx context.Context) sample {
	return sample{
		at: time.Now(), proxy: burdenOf(ctx, n.Proxy, n.HTTP), plugin: burdenOf(ctx, n.plugin(), n.pluginHTTP), stateMiB: usedMiB(n.StateDir),
	}
}

func burdenOf(ctx context.Context, process *stack.Process, socket string) (b burden) {
	proc := filepath.Join("/proc", strconv.Itoa(process.Pid()))
	if fds, err := os.ReadDir(filepath.Join(proc, "fd")); err == nil {
		b.fds = len(fds)
	}
	if text, err := os.ReadFile(filepath.Join(proc, "status")); err == nil {
		_, after, _ := strings.Cut(string(text), "VmRSS:")
		if fields := strings.Fields(after); len(fields) > 0 {
			kib, _ := strconv.Atoi(fields[0])
			b.rssMiB = float64(kib) / 1024
		}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if text, err := get(ctx, socket, "/metrics"); err == nil {
		for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
			if value, found := strings.CutPrefix(lines.Text(), "go_goroutines "); found {
				b.goroutines, _ = strconv.Atoi(value)
			}
		}
	}
	return b
}

// usedMiB is what is used of the disk that a folder lies on.
func usedMiB(dir string) float64 {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return 0
	}
	return float64(int64(s.Blocks-s.Bfree)*s.Bsize) / (1 << 20)
}

// panics finds what a daemon says of a mistake in itself.
func panics(process *stack.Process) error {
	text, err := os.ReadFile(process.Log)
	if err != nil {
		return nil //nolint:nilerr // it has not been started
	}
	for _, sign := range []string{"panic", "fatal error:", "DATA RACE"} {
		if at := strings.Index(string(text), sign); at >= 0 {
			return fmt.Errorf("%s says %.1000s", process.Path, text[at:])
		}
	}
	return nil
}

// unfinished lists temporary files that were left behind. Who is killed, or whose disk becomes read-only,
// leaves one for an hour.
func (s *soak) unfinished(dir string) (found []string) {
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasPrefix(entry.Name(), ".tmp-") {
			return nil //nolint:nilerr // files come and go as we look
		}
		info, err := entry.Info()
		if err == nil && s.weather.during(info.ModTime().Add(-settle), time.Now())&(diskBad|proxyAway|pluginAway) == 0 {
			found = append(found, path)
		}
		return nil
	})
	return found
}
