package containerd

import (
	"context"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/containerd/containerd/api/services/introspection/v1"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	askPause   = 30 * time.Second // between looks at a runtime that answers
	retryPause = time.Second      // while it does not
	askTimeout = 5 * time.Second
)

// Runtime keeps the settings of a runtime up to date: by its configuration file
// at once, and by what it says itself as soon as it answers.
type Runtime struct {
	// Changed, where set, is called with settings that differ from those before.
	Changed func(Settings)

	path string
	conn grpc.ClientConnInterface
	log  *slog.Logger
	file *Settings // of the file, when it could be read last

	mu       sync.Mutex
	settings Settings
	warned   []string
	problem  string
}

// NewRuntime reads the configuration file. The runtime need not be there yet.
func NewRuntime(path string, conn grpc.ClientConnInterface, log *slog.Logger) *Runtime {
	r := &Runtime{path: path, conn: conn, log: log}
	r.settings = r.read()
	return r
}

// Settings returns what is known by now.
func (r *Runtime) Settings() Settings {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.settings
}

// WillUnpack is that of the settings of this moment.
func (r *Runtime) WillUnpack(p ocispec.Platform) bool { return r.Settings().WillUnpack(p) }

// Run asks the runtime for its settings, again and again, until ctx ends.
func (r *Runtime) Run(ctx context.Context) error {
	for {
		pause := retryPause
		if told, err := Ask(ctx, r.conn); err == nil {
			settings, err := r.read().With(told)
			r.complain(err)
			r.take(settings)
			r.warn(settings)
			pause = askPause
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// read returns what the file says. One that cannot be read, as while somebody writes
// it, changes nothing: nor does it for the runtime, which read it when it started.
func (r *Runtime) read() Settings {
	settings, err := Read(r.path)
	r.complain(err)
	if err == nil {
		r.file = &settings
	} else if r.file != nil {
		settings = *r.file
	}
	return settings
}

// complain logs a problem when it is new.
func (r *Runtime) complain(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil || err.Error() == r.problem {
		return
	}
	r.problem = err.Error()
	r.log.Warn("the runtime's configuration cannot be read whole", "file", r.path, "error", err)
}

func (r *Runtime) take(s Settings) {
	r.mu.Lock()
	changed := !reflect.DeepEqual(s, r.settings)
	r.settings = s
	r.mu.Unlock()
	if changed && r.Changed != nil {
		r.Changed(s)
	}
}

// warn logs what an operator should know, when it is new.
func (r *Runtime) warn(s Settings) {
	warnings := s.Warnings()
	r.mu.Lock()
	fresh := !slices.Equal(warnings, r.warned)
	r.warned = warnings
	r.mu.Unlock()
	if !fresh {
		return
	}
	for _, warning := range warnings {
		r.log.Warn(warning)
	}
}

// Ask has the runtime say what it goes by. A runtime other than containerd has no
// introspection; that is no error.
func Ask(ctx context.Context, conn grpc.ClientConnInterface) (Told, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	cri := runtimeapi.NewRuntimeServiceClient(conn)
	version, err := cri.Version(ctx, &runtimeapi.VersionRequest{})
	if err != nil {
		return Told{}, err
	}
	state, err := cri.Status(ctx, &runtimeapi.StatusRequest{Verbose: true})
	if err != nil {
		return Told{}, err
	}
	told := Told{Name: version.GetRuntimeName(), Version: version.GetRuntimeVersion(), Info: state.GetInfo()}
	// Any namespace does: plugins are in none.
	scoped := metadata.AppendToOutgoingContext(ctx, "containerd-namespace", "k8s.io")
	plugins, err := introspection.NewIntrospectionClient(conn).Plugins(scoped, &introspection.PluginsRequest{
		Filters: []string{"type==" + ImagesPluginType + ",id==" + ImagesPluginID},
	})
	if grpcstatus.Code(err) == codes.Unimplemented {
		return told, nil
	}
	if err != nil {
		return Told{}, err
	}
	for _, plugin := range plugins.GetPlugins() {
		told.Exports = plugin.GetExports()
	}
	return told, nil
}
