package systemd

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// child names what the test binary does instead of testing when a test starts it again.
const child = "IMAGEFIT_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(child) {
	case "socket":
		takeSocket()
	case "limits":
		LimitResources()
		fmt.Printf("%d bytes, %d procs", debug.SetMemoryLimit(-1), runtime.GOMAXPROCS(0))
	default:
		goleak.VerifyTestMain(m)
	}
}

// takeSocket takes the socket, answers one client and closes it.
func takeSocket() {
	l, err := Socket(slog.New(slog.NewTextHandler(os.Stdout, nil)))
	if err != nil || l == nil {
		fmt.Printf("socket %v, error %v", l, err)
		return
	}
	fmt.Printf("listening on %s, LISTEN_FDS=%q\n", l.Addr(), os.Getenv("LISTEN_FDS"))
	conn, err := l.Accept()
	if err == nil {
		_, err = conn.Write([]byte("hello"))
		err = errors.Join(err, conn.Close())
	}
	fmt.Println("answered:", errors.Join(err, l.Close()))
}

// run starts the test's program as a child, as a service manager does: with these files from
// descriptor 3 on, and its process id in LISTEN_PID.
func run(t *testing.T, what string, files []*os.File, env ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0"`, self)
	cmd.Env = append(os.Environ(), append(env, child+"="+what)...)
	cmd.ExtraFiles = files
	return cmd
}

func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestEnvironmentOverridesTheLimits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env  []string
		want string
	}{
		"ours":       {[]string{"GOMEMLIMIT=", "GOMAXPROCS="}, fmt.Sprintf("268435456 bytes, %d procs", min(4, runtime.NumCPU()))},
		"the user's": {[]string{"GOMEMLIMIT=1GiB", "GOMAXPROCS=7"}, "1073741824 bytes, 7 procs"},
		"none":       {[]string{"GOMEMLIMIT=off", "GOMAXPROCS=200"}, "9223372036854775807 bytes, 200 procs"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := output(t, run(t, "limits", nil, c.env...)); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// TestNodesWithManyCPUsAreLimitedToFour sets GOMAXPROCS, as the machine may have few.
func TestNodesWithManyCPUsAreLimitedToFour(t *testing.T) {
	procs, memory := runtime.GOMAXPROCS(64), debug.SetMemoryLimit(-1)
	defer func() {
		runtime.GOMAXPROCS(procs)
		debug.SetMemoryLimit(memory)
	}()
	t.Setenv("GOMAXPROCS", "")
	LimitResources()
	if got := runtime.GOMAXPROCS(0); got != 4 {
		t.Errorf("%d procs", got)
	}
}

func TestSocketTakesOneActivatedUnixSocket(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/s.sock"
	unixListener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer unixListener.Close()
	tcpListener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcpListener.Close()
	abstract, err := net.Listen("unix", "@imagefit-test-"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer abstract.Close()
	for name, c := range map[string]struct {
		sockets []net.Listener
		env     string
		want    []string
	}{
		"none":              {nil, "LISTEN_FDS=", []string{"socket <nil>, error <nil>"}},
		"one":               {[]net.Listener{unixListener}, "LISTEN_FDS=1", []string{"listening on " + path, `LISTEN_FDS=""`, "answered: <nil>"}},
		"two":               {[]net.Listener{unixListener, tcpListener}, "LISTEN_FDS=2", []string{"ignoring an extra activated socket", "answered: <nil>"}},
		"TCP":               {[]net.Listener{tcpListener}, "LISTEN_FDS=1", []string{"socket <nil>, error use activated socket", "want ListenStream="}},
		"without a path":    {[]net.Listener{abstract}, "LISTEN_FDS=1", []string{"socket <nil>, error use activated socket", "want ListenStream="}},
		"nonsense":          {nil, "LISTEN_FDS=many", []string{"socket <nil>, error <nil>"}},
		"closed descriptor": {nil, "LISTEN_FDS=1", []string{"socket <nil>, error use activated socket"}},
	} {
		t.Run(name, func(t *testing.T) {
			var files []*os.File
			for _, l := range c.sockets {
				file, err := l.(interface{ File() (*os.File, error) }).File()
				if err != nil {
					t.Fatal(err)
				}
				defer file.Close()
				files = append(files, file)
			}
			if len(c.want) > 1 && c.want[len(c.want)-1] == "answered: <nil>" {
				conn, err := net.Dial("unix", path) // before the daemon is there
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
			}
			got := output(t, run(t, "socket", files, c.env))
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("got %s, want %s", got, want)
				}
			}
			if _, err := os.Lstat(path); err != nil {
				t.Errorf("the daemon removed the socket's file: %v", err)
			}
		})
	}
}
