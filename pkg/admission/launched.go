package admission

import (
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/containerd/nri/pkg/api"
)

// Launched reports whether the runtime has launched this program as a plugin that is
// installed in its plugin_path.
func Launched(getenv func(string) string) bool { return getenv(api.PluginSocketEnvVar) != "" }

// LaunchedBy returns the connection and the identity that the runtime gives to a plugin
// that it launches.
func LaunchedBy(getenv func(string) string) (Socket, error) {
	text := getenv(api.PluginSocketEnvVar)
	fd, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return Socket{}, fmt.Errorf("read %s=%q: %w", api.PluginSocketEnvVar, text, err)
	}
	file := os.NewFile(uintptr(fd), "NRI")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return Socket{}, fmt.Errorf("use descriptor %d of %s: %w", fd, api.PluginSocketEnvVar, err)
	}
	return Socket{
		PluginName: getenv(api.PluginNameEnvVar), PluginIndex: getenv(api.PluginIdxEnvVar), Conn: conn,
	}, nil
}
