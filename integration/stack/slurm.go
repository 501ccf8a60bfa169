package stack

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// SlurmUsable says why Slurm cannot be started here, nil when it can.
func SlurmUsable() error {
	if err := Usable(); err != nil {
		return err
	}
	for _, program := range []string{"slurmctld", "slurmd", "sbatch", "munged"} {
		if _, err := exec.LookPath(program); err != nil {
			return errors.New("needs Slurm: peers/build.sh all installs it")
		}
	}
	return nil
}

// Slurm is a controller and some nodes of Slurm, all on this machine.
type Slurm struct {
	Conf string // slurm.conf

	work      *workDir
	processes []*Process
}

// slurmConf has a node of one CPU in each further line.
const slurmConf = `ClusterName=imagefit
SlurmctldHost=%[1]s(127.0.0.1)
SlurmctldPort=%[2]d
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=%[3]s/munge.socket
CredType=cred/munge
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/linear
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
StateSaveLocation=%[3]s/state
SlurmctldPidFile=%[3]s/slurmctld.pid
SlurmdPidFile=%[3]s/%%n.pid
SlurmdSpoolDir=%[3]s/spool-%%n
SlurmdParameters=config_overrides
ReturnToService=2
CliFilterPlugins=cli_filter/lua
PartitionName=all Nodes=ALL Default=YES State=UP
`

// StartSlurm starts Slurm with nodes of these names, which have no features yet. The text
// is that of cli_filter.lua.
func StartSlurm(ctx context.Context, filter string, nodes ...string) (*Slurm, error) {
	work, err := newWorkDir()
	if err != nil {
		return nil, err
	}
	s := &Slurm{Conf: filepath.Join(work.path, "slurm.conf"), work: work}
	if err := s.start(ctx, filter, nodes); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Slurm) start(ctx context.Context, filter string, nodes []string) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	host, _, _ = strings.Cut(host, ".")
	port, err := freePort()
	if err != nil {
		return err
	}
	var conf strings.Builder
	fmt.Fprintf(&conf, slurmConf, host, port, s.work.path)
	for _, node := range nodes {
		if port, err = freePort(); err != nil {
			return err
		}
		fmt.Fprintf(&conf, "NodeName=%s NodeHostname=%s NodeAddr=127.0.0.1 Port=%d CPUs=1\n", node, host, port)
	}
	key := make([]byte, 1024)
	_, _ = rand.Read(key) // never fails
	for name, content := range map[string][]byte{"slurm.conf": []byte(conf.String()), "cli_filter.lua": []byte(filter), "munge.key": key} {
		if err := os.WriteFile(filepath.Join(s.work.path, name), content, 0o600); err != nil {
			return err
		}
	}
	in := func(name string) string { return filepath.Join(s.work.path, name) }
	if err := s.run("munged", "--foreground", "--force", "--socket="+in("munge.socket"), "--key-file="+in("munge.key"),
		"--pid-file="+in("munged.pid"), "--log-file="+in("munge.log"), "--seed-file="+in("munge.seed")); err != nil {
		return err
	}
	if err := s.processes[0].await(ctx, func() bool { _, err := os.Stat(in("munge.socket")); return err == nil }); err != nil {
		return err
	}
	if err := s.run("slurmctld", "-D"); err != nil {
		return err
	}
	for _, node := range nodes {
		if err := os.MkdirAll(in("spool-"+node), 0o700); err != nil {
			return err
		}
		if err := s.run("slurmd", "-D", "-N", node); err != nil {
			return err
		}
	}
	return s.processes[1].await(ctx, func() bool {
		idle, _, err := s.Command(ctx, nil, "sinfo", "--noheader", "--states=idle", "--format=%D")
		return err == nil && strings.TrimSpace(idle) == fmt.Sprint(len(nodes))
	})
}

func (s *Slurm) run(program string, args ...string) error {
	path, err := exec.LookPath(program)
	if err != nil {
		return err
	}
	p := &Process{Path: path, Args: args, Env: []string{"SLURM_CONF=" + s.Conf}, Log: filepath.Join(s.work.path, fmt.Sprintf("%d-%s.log", len(s.processes), program))}
	s.processes = append(s.processes, p)
	return p.Start()
}

// Command runs a program as a user of this Slurm.
func (s *Slurm) Command(ctx context.Context, env []string, program string, args ...string) (stdout, stderr string, err error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = s.work.path
	cmd.Env = append(append(Environ(), "SLURM_CONF="+s.Conf), env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// Submit submits a job, waits for its end and returns the node that it ran on.
func (s *Slurm) Submit(ctx context.Context, env []string, flags ...string) (node, stderr string, err error) {
	out := filepath.Join(s.work.path, "job.out")
	args := append([]string{"--wait", "--output=" + out, "--wrap=echo $SLURMD_NODENAME"}, flags...)
	if err := os.RemoveAll(out); err != nil {
		return "", "", err
	}
	if _, stderr, err = s.Command(ctx, env, "sbatch", args...); err != nil {
		return "", stderr, err
	}
	text, err := os.ReadFile(out)
	return strings.TrimSpace(string(text)), stderr, err
}

// Tail returns the end of what the programs logged.
func (s *Slurm) Tail(lines int) string {
	var b strings.Builder
	for _, p := range s.processes {
		fmt.Fprintf(&b, "%s:\n%s\n", p.Path, p.Tail(lines))
	}
	return b.String()
}

// Stop ends all programs and removes what they left.
func (s *Slurm) Stop() error {
	var errs []error
	for i := len(s.processes) - 1; i >= 0; i-- {
		if s.processes[i].Running() {
			errs = append(errs, s.processes[i].Stop(10*time.Second))
		}
	}
	return errors.Join(append(errs, s.work.remove())...)
}
