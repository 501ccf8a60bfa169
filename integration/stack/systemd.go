package stack

import (
	"bytes"
	"context"
	_ "embed" // the script
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

//go:embed systemd.sh
var systemdScript string

// systemdPath is the service manager of this machine.
const systemdPath = "/usr/lib/systemd/systemd"

// HasSystemd says whether this machine has a systemd, which need not run it.
func HasSystemd() bool {
	_, err := os.Stat(systemdPath)
	return err == nil
}

// Systemd is a real systemd, process 1 of namespaces of its own on a copy of this machine's file system.
// It shares the folder of a containerd, under the same path.
type Systemd struct {
	process *Process
	init    string // its process id, as seen from here
}

// Installed is the folder with what StartSystemd installs, below /.
func (c *Containerd) Installed() string { return filepath.Join(c.Dir, "installed") }

// StartSystemd starts a systemd on a machine where what lies in Installed is installed. Stop it before the
// containerd.
func (c *Containerd) StartSystemd(ctx context.Context) (*Systemd, error) {
	script := filepath.Join(c.Dir, "systemd.sh")
	if err := os.WriteFile(script, []byte(systemdScript), 0o755); err != nil {
		return nil, fmt.Errorf("write the script of systemd: %w", err)
	}
	s := &Systemd{process: &Process{
		Path: "/bin/bash", Args: []string{script, filepath.Base(c.Dir), c.Dir}, Log: filepath.Join(c.Dir, "systemd.log"),
	}}
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	if err := s.await(ctx, ""); err != nil {
		return nil, fmt.Errorf("start systemd: %w", err)
	}
	return s, nil
}

// await waits until a systemd other than the one before answers.
func (s *Systemd) await(ctx context.Context, before string) error {
	return s.process.await(ctx, func() bool {
		s.init = strconv.Itoa(s.process.Pid())
		for range 3 { // the shell of the machine, unshare, systemd
			children, err := os.ReadFile(fmt.Sprintf("/proc/%s/task/%[1]s/children", s.init))
			if s.init = strings.TrimSpace(string(children)); err != nil || s.init == "" || strings.Contains(s.init, " ") {
				return false
			}
		}
		if s.init == before {
			return false
		}
		_, err := s.Run(ctx, "systemctl", "list-units", "--quiet")
		return err == nil
	})
}

// CutPower ends all processes of the machine at once, and starts it again with what it has on disk.
func (s *Systemd) CutPower(ctx context.Context) error {
	before := s.init
	pid, err := strconv.Atoi(before)
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil { // process 1 takes its namespace along
		return fmt.Errorf("cut the power: %w", err)
	}
	if err := s.await(ctx, before); err != nil {
		return fmt.Errorf("start systemd again: %w", err)
	}
	return nil
}

// Run runs a command beside systemd and returns what it prints.
func (s *Systemd) Run(ctx context.Context, command ...string) (string, error) {
	args := append([]string{"--target", s.init, "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--root", "--wd=/"}, command...)
	cmd := exec.CommandContext(ctx, "nsenter", args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD_PAGER=", "SYSTEMD_COLORS=0"}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return strings.TrimSpace(out.String()), fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, out.String())
	}
	return strings.TrimSpace(out.String()), nil
}

// Stop ends systemd and all that it started.
func (s *Systemd) Stop() error {
	if err := s.process.Kill(); err != nil { // --kill-child takes systemd along, and that its namespace
		return err
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join("/proc", s.init)); err != nil {
			return nil //nolint:nilerr // it is gone
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("stop systemd: process %s is still there", s.init)
		}
	}
}
