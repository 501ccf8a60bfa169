package stack

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a daemon under test: started, killed and started again at will, its
// output kept in a file.
type Process struct {
	// Path and Args are the program; Env is added to this process's environment.
	Path string
	Args []string
	Env  []string
	// Log is the file that stdout and stderr are appended to.
	Log string

	mu     sync.Mutex // who watches a process does so while others start it again
	cmd    *exec.Cmd
	exited chan struct{}
}

// last is the last start, nil before the first.
func (p *Process) last() (*exec.Cmd, chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd, p.exited
}

// Environ is the environment without the IMAGEFIT_ variables of the tests, which
// imagefit's programs would take for mistakes in their configuration.
func Environ() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "IMAGEFIT_")
	})
}

// Start starts the program, in a process group of its own so that Ctrl-C reaches
// it only through us.
func (p *Process) Start() error {
	if p.Running() {
		return fmt.Errorf("start %s: already running as process %d", p.Path, p.Pid())
	}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.Path, err)
	}
	defer log.Close()                      // the child has its own copy
	cmd := exec.Command(p.Path, p.Args...) //nolint:noctx // it lives until Stop, longer than the context of a test
	cmd.Env = append(Environ(), p.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.Path, err)
	}
	exited := make(chan struct{})
	p.mu.Lock()
	p.cmd, p.exited = cmd, exited
	p.mu.Unlock()
	go func() {
		// The exit state stays in cmd.ProcessState; ending by a signal is fine here.
		_ = cmd.Wait()
		close(exited)
	}()
	return nil
}

// Pid is the process id of the last start, 0 before the first.
func (p *Process) Pid() int {
	cmd, _ := p.last()
	if cmd == nil {
		return 0
	}
	return cmd.Process.Pid
}

// Running says whether the program was started and has not ended.
func (p *Process) Running() bool {
	cmd, exited := p.last()
	if cmd == nil {
		return false
	}
	select {
	case <-exited:
		return false
	default:
		return true
	}
}

// Exited is closed when the last start has ended. Call it after Start.
func (p *Process) Exited() <-chan struct{} {
	_, exited := p.last()
	return exited
}

// ExitCode is the exit code of the last start, -1 while it runs or when a signal
// ended it.
func (p *Process) ExitCode() int {
	cmd, _ := p.last()
	if cmd == nil || p.Running() {
		return -1
	}
	return cmd.ProcessState.ExitCode()
}

// Signal sends a signal to a running process.
func (p *Process) Signal(sig os.Signal) error {
	if !p.Running() {
		return fmt.Errorf("signal %s: not running", p.Path)
	}
	cmd, _ := p.last()
	return cmd.Process.Signal(sig)
}

// Stop asks the program to end and waits; after the grace it is killed, which is
// an error. Stopping a program that does not run is fine.
func (p *Process) Stop(grace time.Duration) error {
	if !p.Running() {
		return nil
	}
	cmd, exited := p.last()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.Path, err)
	}
	select {
	case <-exited:
		return nil
	case <-time.After(grace):
	}
	if err := p.Kill(); err != nil {
		return err
	}
	return fmt.Errorf("stop %s: still running %s after SIGTERM, killed", p.Path, grace)
}

// Kill ends the program with SIGKILL and waits for its end.
func (p *Process) Kill() error {
	if !p.Running() {
		return nil
	}
	cmd, exited := p.last()
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.Path, err)
	}
	<-exited
	return nil
}

// Tail returns the last lines of the log, for a failed test to show.
func (p *Process) Tail(lines int) string {
	text, err := os.ReadFile(p.Log)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
