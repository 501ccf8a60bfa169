package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxPID bounds what is read of a lock file.
const maxPID = 16

// warnOfAnother logs if another instance of the program runs with this state directory.
// Neither is stopped: two share their files without harm. release gives the lock up.
func warnOfAnother(program, stateDir string, log *slog.Logger) (release func()) {
	lock, pid, err := lockInstance(filepath.Join(stateDir, program+".lock"))
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		log.Warn("another instance of this daemon runs, stop one of them", "program", program, "pid", pid, "state_dir", stateDir)
	case err != nil:
		log.Debug("cannot tell whether another instance runs", "error", err)
	}
	if lock == nil {
		return func() {}
	}
	return func() { _ = lock.Close() }
}

// lockInstance locks a file until it is closed and writes the process into it. If it is
// locked, the process that did so is returned.
func lockInstance(path string) (lock *os.File, pid string, err error) {
	// Not blocking: anything may be in its place.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, "", errors.Join(err, fmt.Errorf("%s is not a regular file", path))
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		text := make([]byte, maxPID)
		n, _ := f.ReadAt(text, 0)
		return nil, strings.TrimSpace(string(text[:n])), fmt.Errorf("lock %s: %w", path, err)
	}
	if f.Truncate(0) == nil {
		_, _ = f.WriteString(strconv.Itoa(os.Getpid()) + "\n") // for people; the lock is what counts
	}
	return f, "", nil
}
