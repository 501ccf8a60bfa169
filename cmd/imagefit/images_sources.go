package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/containerd/images"
	"github.com/imagefit/imagefit/pkg/cri"
	"github.com/imagefit/imagefit/pkg/decision"
	"github.com/imagefit/imagefit/pkg/decisionlog"
	"github.com/imagefit/imagefit/pkg/names"
	"github.com/imagefit/imagefit/pkg/unixsocket"
)

// imagesTimeout is how long a runtime may take to list its images.
const imagesTimeout = 10 * time.Second

// Who keeps a name, as imagefit status calls them.
const (
	keptByProxy   = "proxy"
	keptByRuntime = "runtime"
)

// imageSources are what the images of a node are known from. Any of them may be missing.
type imageSources struct {
	problems []string
	socket   string // that listed the images
	shown    []*runtimeapi.Image
	store    *images.Store            // containerd's, nil where it cannot be read
	records  map[string]images.Record // of containerd, by name
	kept     map[string]names.Name    // by the proxy, nil where they cannot be read
	keepers  bool                     // all kept names are known, so that the others are the runtime's
	pulls    []loggedPull             // the newest first
}

// loggedPull is a pull in the decision log.
type loggedPull struct {
	decisionlog.Record
	name string // normalised
}

// listImages lists the names of the images of this node.
func listImages(ctx context.Context, cfg config.Config, stderr io.Writer) imageList {
	var s imageSources
	s.readShown(ctx, cfg)
	backend, err := cri.NewSplitBackend(cfg.Runtime.Endpoint, cfg.Runtime.ImageEndpoint)
	if err != nil {
		s.problem("runtime.endpoint cannot be used: %v", err)
	} else {
		defer func() { _ = backend.Close() }()
		s.readRecords(ctx, images.New(backend, cfg.Runtime.Namespace))
	}
	s.readNames(ctx, names.Files{
		Folder: filepath.Join(cfg.StateDir, "names"), Log: cli.NewLogger(stderr, config.Text, slog.LevelWarn),
	})
	s.readLog(cfg.StateDir)
	list := imageList{Source: s.socket, Images: []nodeImage{}}
	for name, id := range s.named() {
		list.Images = append(list.Images, s.imageOf(ctx, name, id))
	}
	slices.SortFunc(list.Images, func(a, b nodeImage) int { return cmp.Compare(a.Name, b.Name) })
	list.Problems = s.problems
	return list
}

func (s *imageSources) problem(format string, args ...any) {
	s.problems = append(s.problems, decision.Line(fmt.Sprintf(format, args...)))
}

// readShown lists the images as the kubelet sees them, else as the runtime does.
func (s *imageSources) readShown(ctx context.Context, cfg config.Config) {
	var err error
	if s.shown, err = imagesAt(ctx, cfg.Proxy.Listen); err == nil {
		s.socket = cfg.Proxy.Listen
		return
	}
	s.problem("cri-proxy does not list images at %s (proxy.listen): %v; the runtime is asked instead, which does not resolve "+
		"the names that cri-proxy keeps", cfg.Proxy.Listen, err)
	endpoint, key := cfg.Runtime.Endpoint, "runtime.endpoint"
	if cfg.Runtime.ImageEndpoint != "" {
		endpoint, key = cfg.Runtime.ImageEndpoint, "runtime.image_endpoint"
	}
	if s.shown, err = imagesAt(ctx, endpoint); err == nil {
		s.socket = endpoint
		return
	}
	s.problem("the runtime does not list images at %s (%s): %v; check that it runs and that this is its socket: "+
		"imagefit config check --live; what is kept and logged is shown, of which images may be gone", endpoint, key, err)
}

// imagesAt lists the images that a socket shows.
func imagesAt(ctx context.Context, endpoint string) ([]*runtimeapi.Image, error) {
	ctx, cancel := context.WithTimeout(ctx, imagesTimeout)
	defer cancel()
	path, err := unixsocket.ParseEndpoint(endpoint)
	if err != nil {
		return nil, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path) // whose errors tell more than gRPC's
	if errors.Is(err, fs.ErrPermission) {
		return nil, errors.New("permission denied: only root may, try sudo imagefit images")
	}
	if err != nil {
		return nil, err
	}
	_ = conn.Close()
	backend, err := cri.NewBackend(endpoint)
	if err != nil {
		return nil, err
	}
	defer func() { _ = backend.Close() }()
	list, err := runtimeapi.NewImageServiceClient(grpc.ClientConnInterface(backend)).ListImages(ctx, &runtimeapi.ListImagesRequest{})
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(status.Convert(err).Message(), "imagefit: "))
	}
	return list.GetImages(), nil
}

// readRecords reads the records and kept names of containerd. Other runtimes have none.
func (s *imageSources) readRecords(ctx context.Context, store *images.Store) {
	kept, err := images.Names{Store: store}.Read(ctx)
	var records []images.Record
	if err == nil {
		records, err = store.Records(ctx)
	}
	switch {
	case errors.Is(err, names.ErrUnsupported):
		s.keepers = true // once the files are read
		return
	case err != nil:
		if s.socket != "" || status.Code(err) != codes.Unavailable { // else the same is reported already
			s.problem("containerd's image records cannot be read: %v; who keeps a name and since when may be missing", err)
		}
		return
	}
	s.keepers = true
	s.store, s.records, s.kept = store, map[string]images.Record{}, map[string]names.Name{}
	for _, r := range records {
		s.records[r.Name] = r
	}
	s.keep(kept)
}

// readNames reads the names that the proxy keeps in files, where it does not keep them in
// containerd's records.
func (s *imageSources) readNames(ctx context.Context, files names.Files) {
	if s.kept != nil {
		return
	}
	kept, err := files.Load(ctx)
	if errors.Is(err, fs.ErrPermission) {
		err = errors.New("permission denied: only root may, try sudo imagefit images")
	}
	if err != nil {
		s.keepers = false
		s.problem("the names that cri-proxy keeps in %s (state_dir) cannot be read: %v", files.Folder, err)
		return
	}
	s.kept = map[string]names.Name{}
	s.keep(kept)
}

// keep adds names, of two for one reference the newer.
func (s *imageSources) keep(kept []names.Name) {
	for _, n := range kept {
		if old, known := s.kept[n.Reference]; !known || old.Since.Before(n.Since) {
			s.kept[n.Reference] = n
		}
	}
}

// readLog reads the pulls in the decision log.
func (s *imageSources) readLog(stateDir string) {
	found, err := decisionlog.Open(stateDir).Read(decisionlog.Filter{Program: decisionlog.Proxy})
	if err != nil {
		s.problem("%v", denied(err, stateDir))
		return
	}
	for _, r := range slices.Backward(found) {
		if r.Image != "" {
			s.pulls = append(s.pulls, loggedPull{r, normalized(r.Reference)})
		}
	}
	if len(s.pulls) == 0 {
		s.problem("the decision log in %s (state_dir) has no pulls: pods are known only of images that cri-proxy keeps a name of", stateDir)
	}
}

// named returns the image IDs of all names: of what is shown and of what is kept, and of
// what was pulled where nothing is shown.
func (s *imageSources) named() map[string]string {
	all, present := map[string]string{}, map[string]bool{}
	for _, image := range s.shown {
		present[image.GetId()] = true
		for _, name := range slices.Concat(image.GetRepoTags(), image.GetRepoDigests()) {
			all[name] = image.GetId()
		}
	}
	for _, pull := range s.pulls {
		if _, known := all[pull.name]; !known && s.socket == "" {
			all[pull.name] = pull.Image
		}
	}
	for name, n := range s.kept {
		if present[n.ImageID] || s.socket == "" {
			all[name] = n.ImageID
		}
	}
	return all
}
