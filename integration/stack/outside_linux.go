package stack

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Outside lists what the daemons of a work folder hold outside of it at this
// moment: sockets that they listen on and files that they may write. What
// containers hold is theirs.
func Outside(dir string) []string {
	var held []string
	listening := unixSockets()
	for pid, what := range ownedProcesses(dir) {
		program, _, _ := strings.Cut(what, " ")
		if !slices.Contains(daemons(), filepath.Base(program)) {
			continue
		}
		for _, path := range openFor(pid, listening) {
			if path != "" && !strings.HasPrefix(path, dir+"/") && !strings.HasPrefix(path, "/dev/") {
				held = append(held, fmt.Sprintf("%s (%s, process %d)", path, filepath.Base(program), pid))
			}
		}
	}
	return held
}

// openFor are the listening sockets and writable files of a process.
func openFor(pid int, listening map[string]string) []string {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	links, _ := filepath.Glob(filepath.Join(proc, "fd", "*")) // errors only on a bad pattern
	var paths []string
	for _, link := range links {
		target, _ := os.Readlink(link) // empty for what is closed by now
		if inode, ok := strings.CutPrefix(target, "socket:["); ok {
			paths = append(paths, listening[strings.TrimSuffix(inode, "]")])
		} else if strings.HasPrefix(target, "/") && writable(filepath.Join(proc, "fdinfo", filepath.Base(link))) {
			paths = append(paths, target)
		}
	}
	return paths
}

func writable(fdinfo string) bool {
	text, _ := os.ReadFile(fdinfo) // empty for what is closed by now
	for line := range bytes.Lines(text) {
		if mode, ok := strings.CutPrefix(string(line), "flags:"); ok {
			flags, err := strconv.ParseInt(strings.TrimSpace(mode), 8, 64)
			return err == nil && int(flags)&(os.O_WRONLY|os.O_RDWR) != 0
		}
	}
	return false
}

// unixSockets are the paths of the machine's listening unix sockets by inode.
func unixSockets() map[string]string {
	const accepting = "00010000"
	sockets := map[string]string{}
	text, _ := os.ReadFile("/proc/net/unix") // always there
	for line := range bytes.Lines(text) {
		fields := strings.Fields(string(line))
		if len(fields) == 8 && fields[3] == accepting && strings.HasPrefix(fields[7], "/") {
			sockets[fields[6]] = fields[7]
		}
	}
	return sockets
}

// Children lists the child processes of this one, which at the end of a run
// should be none.
func Children() []string {
	var children []string
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // errors only on a bad pattern
	for _, stat := range stats {
		text, _ := os.ReadFile(stat) // empty for what is gone by now
		// pid (program) state parent ...; a program's name may hold anything.
		end := bytes.LastIndexByte(text, ')')
		if end < 0 {
			continue
		}
		if fields := strings.Fields(string(text[end+1:])); len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) {
			children = append(children, fmt.Sprintf("process %s, state %s", text[:end+1], fields[0]))
		}
	}
	return children
}
