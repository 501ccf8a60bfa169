package health

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/imagefit/imagefit/internal/textutil"
)

const (
	// listening is the state of a socket in /proc/net/tcp that waits for connections.
	listening = "0A"
	// maxTable bounds what is read of that table.
	maxTable = 4 << 20
)

// taken adds to an error which process has the address, as far as that can be told.
func taken(err error, address, proc string) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	_, port, splitErr := net.SplitHostPort(address)
	number, parseErr := strconv.Atoi(port)
	if splitErr != nil || parseErr != nil {
		return err
	}
	user, inode, ok := listenerOf(number, proc)
	if !ok {
		return err
	}
	return fmt.Errorf("%w (by a process of user %s%s)", err, user, holderOf(inode, proc))
}

// listenerOf finds the socket that listens at a port: its user, and its inode.
func listenerOf(port int, proc string) (user, inode string, ok bool) {
	suffix := fmt.Sprintf(":%04X", port)
	for _, table := range []string{"net/tcp", "net/tcp6"} {
		file, err := os.Open(filepath.Join(proc, table))
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(io.LimitReader(file, maxTable)); lines.Scan(); {
			f := strings.Fields(lines.Text())
			if len(f) > 9 && strings.HasSuffix(f[1], suffix) && f[3] == listening {
				user, inode, ok = f[7], f[9], true
				break
			}
		}
		_ = file.Close()
		if ok {
			return user, inode, true
		}
	}
	return "", "", false
}

// holderOf names the process that has a socket open. That of another user can be looked at only with
// capabilities, which our units do not have.
func holderOf(inode, proc string) string {
	links, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*")) // errors only on a bad pattern
	for _, link := range links {
		if target, err := os.Readlink(link); err != nil || target != "socket:["+inode+"]" {
			continue
		}
		process := filepath.Dir(filepath.Dir(link))
		name, _ := os.ReadFile(filepath.Join(process, "comm"))
		return fmt.Sprintf(": %s, pid %s", textutil.Line(strings.TrimSpace(string(name)), 64), filepath.Base(process))
	}
	return ""
}
