package stack

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// Postgres is a PostgreSQL server of the test's own, on a unix socket and nothing else.
type Postgres struct {
	URL string // of its one database

	dir string
	cmd *exec.Cmd
}

// postgresUser runs the server: it refuses to run as root.
const postgresUser = 65534

// postgresTime is how long it may take to start or to stop.
const postgresTime = 60 * time.Second

// PostgresProgram finds a program of PostgreSQL where Debian has it; of several versions
// the newest.
func PostgresProgram(name string) (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("find %s of PostgreSQL below /usr/lib/postgresql: install it (Debian: apt-get install postgresql)", name)
	}
	slices.Sort(found)
	return found[len(found)-1], nil
}

// StartPostgres makes a cluster in a folder of its own and starts it.
func StartPostgres() (*Postgres, error) {
	initdb, err := PostgresProgram("initdb")
	if err != nil {
		return nil, err
	}
	server, err := PostgresProgram("postgres")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pg") // short: the path of a socket is bounded
	if err != nil {
		return nil, err
	}
	p := &Postgres{dir: dir, URL: "postgres:///postgres?host=" + dir + "&user=imagefit"}
	if err := p.start(initdb, server); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

func (p *Postgres) start(initdb, server string) error {
	if os.Geteuid() == 0 {
		if err := os.Chown(p.dir, postgresUser, postgresUser); err != nil {
			return err
		}
	}
	data := filepath.Join(p.dir, "data")
	if out, err := p.command(initdb, "-D", data, "-U", "imagefit", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8").CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	log, err := os.Create(filepath.Join(p.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	p.cmd = p.command(server, "-D", data, "-k", p.dir, "-c", "listen_addresses=", "-c", "fsync=off")
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		p.cmd = nil
		return err
	}
	ready := filepath.Join(filepath.Dir(server), "pg_isready")
	for deadline := time.Now().Add(postgresTime); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if p.command(ready, "-q", "-h", p.dir).Run() == nil {
			return nil
		}
	}
	text, _ := os.ReadFile(log.Name())
	return fmt.Errorf("PostgreSQL was not ready in %s within %v: %s", p.dir, postgresTime, text)
}

// command is a program as another user, if this one is root.
func (p *Postgres) command(path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...) //nolint:noctx // it lives until Stop
	cmd.Dir, cmd.Env = p.dir, []string{"LC_ALL=C.UTF-8", "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: postgresUser, Gid: postgresUser}
	}
	return cmd
}

// Stop ends the server and removes its folder.
func (p *Postgres) Stop() error {
	var err error
	if p.cmd != nil {
		if err = p.cmd.Process.Signal(syscall.SIGINT); err == nil { // ends sessions, then itself
			kill := time.AfterFunc(postgresTime, func() { _ = p.cmd.Process.Kill() })
			err = p.cmd.Wait()
			kill.Stop()
		}
		if err != nil {
			err = errors.New("stop PostgreSQL as process " + strconv.Itoa(p.cmd.Process.Pid) + ": " + err.Error())
		}
	}
	return errors.Join(err, os.RemoveAll(p.dir))
}
