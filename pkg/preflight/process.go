package preflight

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/internal/fsutil"
)

// maxProcFile bounds what is read of a file of /proc.
const maxProcFile = 1 << 20

// process is one of the node.
type process struct {
	pid  int
	comm string
	args []string
}

func (p process) String() string { return fmt.Sprintf("%s (pid %d)", p.comm, p.pid) }

// processes are those with one of these names.
func (n *Node) processes(names ...string) (found []process) {
	entries, err := os.ReadDir(n.path("/proc"))
	if err != nil {
		return nil
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if p := n.process(pid); slices.Contains(names, p.comm) {
			found = append(found, p)
		}
	}
	slices.SortFunc(found, func(a, b process) int { return a.pid - b.pid })
	return found
}

func (n *Node) process(pid int) process {
	return process{pid, strings.TrimSpace(n.proc(pid, "comm")), strings.FieldsFunc(n.proc(pid, "cmdline"), isNul)}
}

func isNul(r rune) bool { return r == 0 }

// proc reads a file of a process, "" where that is not possible.
func (n *Node) proc(pid int, name string) string {
	text, err := fsutil.ReadAny(n.path(filepath.Join("/proc", strconv.Itoa(pid), name)), maxProcFile)
	if err != nil {
		return ""
	}
	return string(text)
}

// listener is the process that listens on a TCP port of the node, or nil. Only root sees
// those of others.
func (n *Node) listener(port string) *process {
	inodes := n.listening(port)
	if len(inodes) == 0 {
		return nil
	}
	links, _ := filepath.Glob(n.path("/proc/[0-9]*/fd/*"))
	for _, link := range links {
		to, err := os.Readlink(link)
		if err != nil || !slices.Contains(inodes, to) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(link))))
		p := n.process(pid)
		return &p
	}
	return &process{}
}

// listening are the sockets that listen on a port, as links of /proc/PID/fd name them.
func (n *Node) listening(port string) (sockets []string) {
	const listen = "0A" // the state
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil
	}
	suffix := fmt.Sprintf(":%04X", number)
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := fsutil.ReadAny(n.path(table), 16*maxProcFile)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 9 && f[3] == listen && strings.HasSuffix(f[1], suffix) {
				sockets = append(sockets, "socket:["+f[9]+"]")
			}
		}
	}
	return sockets
}
