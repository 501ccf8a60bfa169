package containerd

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/containerd/containerd/api/services/introspection/v1"
	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/pkg/crio"
)

const (
	queryInterval = 30 * time.Second // while the runtime answers
	retryInterval = time.Second      // while it does not
	queryTimeout  = 5 * time.Second
	learnTimeout  = time.Second // of the start, which must not wait for a runtime that hangs
)

// Runtime keeps the settings of a runtime up to date: at once by its configuration file,
// and by its own report as soon as it answers.
type Runtime struct {
	// Changed, where set, is called with settings that differ from those before.
	Changed func(Settings)
	// CRIO, where set, reads the configuration of a runtime that is CRI-O.
	CRIO func(context.Context) (crio.Settings, error)

	path string
	conn grpc.ClientConnInterface
	log  *slog.Logger

	file     *Settings // of the file, when it could be read last
	problem  string    // that was logged last
	warnings []string  // that were logged last

	mu       sync.Mutex
	settings Settings
}

// NewRuntime reads the configuration file. The runtime need not be running yet.
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

// Matches is that of the settings of this moment.
func (r *Runtime) Matches() platforms.MatchComparer { return r.Settings().Matches() }

// Run queries the runtime for its settings until ctx ends.
func (r *Runtime) Run(ctx context.Context) error {
	for {
		pause := retryInterval
		if settings, changed, err := r.query(ctx); err == nil {
			if changed && r.Changed != nil {
				r.Changed(settings)
			}
			if warnings := settings.Warnings(); !slices.Equal(warnings, r.warnings) {
				r.warnings = warnings
				for _, warning := range warnings {
					r.log.Warn("the runtime's configuration limits imagefit", "limit", warning)
				}
			}
			pause = queryInterval
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// Learn queries the runtime once, before anything is decided by its settings. One that is
// not there yet is left for later.
func (r *Runtime) Learn() {
	ctx, cancel := context.WithTimeout(context.Background(), learnTimeout)
	defer cancel()
	_, _, _ = r.query(ctx)
}

// query asks the runtime for its settings and reports whether they differ from those
// before.
func (r *Runtime) query(ctx context.Context) (settings Settings, changed bool, err error) {
	report, err := Query(ctx, r.conn)
	if err != nil {
		return settings, false, err
	}
	settings, err = r.read().With(report)
	if settings.isCRIO() && r.CRIO != nil {
		settings.CRIO, err = r.readCRIO(ctx)
	}
	r.logProblem(err)
	r.mu.Lock()
	defer r.mu.Unlock()
	changed = !reflect.DeepEqual(settings, r.settings)
	r.settings = settings
	return settings, changed, nil
}

// readCRIO reads the configuration of CRI-O, as far as that can be read.
func (r *Runtime) readCRIO(ctx context.Context) (*crio.Settings, error) {
	settings, err := r.CRIO(ctx)
	if err != nil {
		err = fmt.Errorf("read the configuration of CRI-O: %w", err)
	}
	return &settings, err
}

// read returns the settings of the file. One that cannot be read, as while it is being
// written, changes nothing, as it does not for the runtime, which read it at its start.
func (r *Runtime) read() Settings {
	settings, err := Read(r.path)
	r.logProblem(err)
	if err == nil {
		r.file = &settings
	} else if r.file != nil {
		settings = *r.file
	}
	return settings
}

// logProblem logs a problem unless it was the last one.
func (r *Runtime) logProblem(err error) {
	if err == nil || err.Error() == r.problem {
		return
	}
	r.problem = err.Error()
	r.log.Warn("cannot read the runtime's configuration completely", "error", err)
}

// Query asks the runtime for its own report. A runtime other than containerd has no
// introspection, which is not an error.
func Query(ctx context.Context, conn grpc.ClientConnInterface) (Report, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	cri := runtimeapi.NewRuntimeServiceClient(conn)
	version, err := cri.Version(ctx, &runtimeapi.VersionRequest{})
	if err != nil {
		return Report{}, err
	}
	status, err := cri.Status(ctx, &runtimeapi.StatusRequest{Verbose: true})
	if err != nil {
		return Report{}, err
	}
	report := Report{Name: version.GetRuntimeName(), Version: version.GetRuntimeVersion(), Info: status.GetInfo()}
	// Any namespace will do, since plugins do not belong to one.
	scoped := metadata.AppendToOutgoingContext(ctx, "containerd-namespace", "k8s.io")
	plugins, err := introspection.NewIntrospectionClient(conn).Plugins(scoped, &introspection.PluginsRequest{
		Filters: []string{"type==" + ImagesPluginType + ",id==" + ImagesPluginID},
	})
	if grpcstatus.Code(err) == codes.Unimplemented {
		return report, nil
	}
	if err != nil {
		return Report{}, err
	}
	for _, plugin := range plugins.GetPlugins() {
		report.Exports = plugin.GetExports()
	}
	return report, nil
}
