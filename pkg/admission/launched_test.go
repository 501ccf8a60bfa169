package admission

import (
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestLaunchedPluginUsesTheConnectionOfTheRuntime(t *testing.T) {
	t.Parallel()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"NRI_PLUGIN_SOCKET": strconv.Itoa(pair[0]), "NRI_PLUGIN_NAME": "imagefit", "NRI_PLUGIN_IDX": "10"}
	getenv := func(key string) string { return env[key] }
	if !Launched(getenv) || Launched(func(string) string { return "" }) {
		t.Error("the environment does not decide whether it was launched")
	}
	socket, err := LaunchedBy(getenv)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Conn.Close()
	if socket.PluginName != "imagefit" || socket.PluginIndex != "10" {
		t.Errorf("it is %s-%s", socket.PluginIndex, socket.PluginName)
	}
	other := os.NewFile(uintptr(pair[1]), "other")
	runtime, err := net.FileConn(other)
	if err != nil {
		t.Fatal(err)
	}
	defer runtime.Close()
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := socket.Conn.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if n, err := runtime.Read(make([]byte, 2)); n != 1 || err != nil {
		t.Errorf("the runtime reads %d bytes, %v", n, err)
	}
}

func TestWrongDescriptorOfTheRuntimeIsNamed(t *testing.T) {
	t.Parallel()
	null, err := syscall.Open(os.DevNull, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"three":            `read NRI_PLUGIN_SOCKET="three"`,
		"-1":               `read NRI_PLUGIN_SOCKET="-1"`,
		"999999":           "use descriptor 999999 of NRI_PLUGIN_SOCKET",
		strconv.Itoa(null): "of NRI_PLUGIN_SOCKET: ", // it is closed by that
	} {
		_, err := LaunchedBy(func(string) string { return text })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestLaunchedPluginEndsWithItsConnection serves one runtime as any other plugin does, and nothing after it.
func TestLaunchedPluginEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	ended, log := make(chan error, 1), slog.New(slog.DiscardHandler)
	r := startNRI(t, "v2.4.2")
	path := t.TempDir() + "/nri.sock"
	r.listen(path)
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	p := newTestPlugin(newKnownImages(t), policyWith(nil), log)
	go func() {
		ended <- Run(t.Context(), p, Socket{PluginName: "imagefit", PluginIndex: "10", Conn: conn}, log)
	}()
	r.synchronized()
	checkRefused(t, r)
	r.die()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "connection to the runtime that launched the plugin: connection lost") {
		t.Errorf("it ends with %v", err)
	}
}
