package stack

import (
	"bytes"
	"context"
	_ "embed" // the script
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	err := s.process.await(ctx, func() bool {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", s.process.Pid()))
		if s.init = strings.TrimSpace(string(children)); err != nil || s.init == "" {
			return false
		}
		_, err = s.Run(ctx, "systemctl", "list-units", "--quiet")
		return err == nil
	})
	if err != nil {
		return nil, fmt.Errorf("start systemd: %w", err)
	}
	return s, nil
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
