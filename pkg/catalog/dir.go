package catalog

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/author/inspect"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/index"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
)

const (
	// maxFiles bounds the files of a folder that are looked at.
	maxFiles = 1_000_000
	// maxContent bounds a manifest or a blob of a layout.
	maxContent = 4 << 20
	// maxLayoutEntries bounds the images and artifacts of a layout.
	maxLayoutEntries = 10_000
)

// dir reads the layouts, archives and SIF files below a folder.
func (r *run) dir(ctx context.Context) error {
	files := 0
	return filepath.WalkDir(r.source.Name, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && name == r.source.Name:
			return err
		case err != nil:
			r.problem(err)
			return nil
		}
		if files++; files > maxFiles {
			return fmt.Errorf("%s has more than %d files", r.source.Name, maxFiles)
		}
		if !entry.IsDir() && !entry.Type().IsRegular() || !entry.IsDir() && !mayBeImage(name) {
			return nil
		}
		isStore, err := r.file(ctx, name, entry.IsDir())
		if bad, ok := errors.AsType[databaseError](err); ok {
			return bad.error
		}
		if err != nil {
			r.problem(fmt.Errorf("read %s: %w", name, err))
		}
		if isStore && entry.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
}

// mayBeImage tells by its name whether a file is opened.
func mayBeImage(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".tar", ".sif", ".oci", ".img", ".simg":
		return true
	}
	return false
}

// file reads one file or folder, and reports whether it has images.
func (r *run) file(ctx context.Context, name string, isDir bool) (bool, error) {
	if !isDir {
		if sif, err := openSIF(name); err != nil || sif != nil {
			if err != nil {
				return true, err
			}
			defer func() { _ = sif.Close() }()
			return true, r.sif(ctx, name, sif)
		}
	}
	store, ok, err := inspect.OpenStore(ctx, name)
	if err != nil || !ok {
		return false, err
	}
	defer func() { _ = store.Close() }()
	if !store.Has("index.json") {
		return true, r.dockerArchive(ctx, name, store)
	}
	var top ocispec.Index
	if err := store.ReadJSON("index.json", &top); err != nil {
		return true, err
	}
	return true, r.layout(ctx, name, top.Manifests, func(d ocispec.Descriptor) ([]byte, error) { return blobOf(store, d) })
}

// blobOf reads content of a layout and verifies it.
func blobOf(store *inspect.Store, d ocispec.Descriptor) ([]byte, error) {
	f, err := store.Open(path.Join("blobs", string(d.Digest.Algorithm()), d.Digest.Encoded()))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: the layout has no blob %s", registry.ErrNotFound, d.Digest)
		}
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return fsutil.ReadAll(d.Digest.String(), f, maxContent)
}

// layoutRepository reads images from a layout, as from a repository.
type layoutRepository struct {
	read func(d ocispec.Descriptor) ([]byte, error)
	// refer are the manifests that refer to another one, by that.
	refer map[digest.Digest][]ocispec.Descriptor
	// within are the manifests that an index of the layout lists.
	within map[digest.Digest]bool
}

// Manifest implements referrers.Repository.
func (l *layoutRepository) Manifest(_ context.Context, d ocispec.Descriptor) ([]byte, error) {
	if err := registry.CheckDescriptor(d); err != nil {
		return nil, err
	}
	body, err := l.read(d)
	switch {
	case errors.Is(err, fsutil.ErrTooLarge):
		return nil, fmt.Errorf("%w: %s", registry.ErrTooLarge, d.Digest)
	case err != nil:
		return nil, err
	case d.Digest.Algorithm().FromBytes(body) != d.Digest:
		return nil, fmt.Errorf("%w: %s has another digest", registry.ErrCorrupt, d.Digest)
	}
	return body, nil
}

// Blob implements referrers.Repository.
func (l *layoutRepository) Blob(ctx context.Context, d ocispec.Descriptor) ([]byte, error) {
	return l.Manifest(ctx, d)
}

// List implements referrers.Repository.
func (l *layoutRepository) List(_ context.Context, subject ocispec.Descriptor) (registry.Listing, error) {
	found := l.refer[subject.Digest]
	return registry.Listing{Referrers: found, Total: len(found)}, nil
}

// layout reads the images of a layout.
func (r *run) layout(ctx context.Context, name string, entries []ocispec.Descriptor, read func(ocispec.Descriptor) ([]byte, error)) error {
	if len(entries) > maxLayoutEntries {
		return fmt.Errorf("it has more than %d images", maxLayoutEntries)
	}
	repo := &layoutRepository{read: read, refer: map[digest.Digest][]ocispec.Descriptor{}, within: map[digest.Digest]bool{}}
	var images []ocispec.Descriptor
	listed := map[string]bool{}
	for _, d := range entries {
		artifact, err := repo.artifact(ctx, d)
		if err != nil {
			listed[layoutName(d)] = true
			if err := r.unreadable(ctx, name, layoutName(d), err); err != nil {
				return err
			}
			continue
		}
		if !artifact {
			images = append(images, d)
		}
	}
	for _, d := range images {
		tag := layoutName(d)
		if repo.within[d.Digest] && tag == d.Digest.String() {
			continue // a variant of an image that has a name
		}
		listed[tag] = true
		if err := r.observe(ctx, repo, name, tag, d); err != nil {
			return err
		}
	}
	lost, err := r.Catalog.keepOnly(ctx, name, listed)
	r.summary.Gone += lost
	return ofDatabase(err)
}

// layoutName is how an entry of a layout is named: as tools annotate it, else by digest.
func layoutName(d ocispec.Descriptor) string {
	for _, key := range []string{ocispec.AnnotationRefName, "io.containerd.image.name"} {
		if name := textutil.Line(d.Annotations[key], maxValue); name != "" && !isArtifactTag(name) {
			return name
		}
	}
	return textutil.Line(d.Digest.String(), maxValue)
}

// artifact notes what a manifest of the layout refers to, and reports whether it is
// something else than an image.
func (l *layoutRepository) artifact(ctx context.Context, d ocispec.Descriptor) (bool, error) {
	body, err := l.Manifest(ctx, d)
	if err != nil {
		return false, err
	}
	if index.IsIndex(d.MediaType) {
		if name := d.Annotations[ocispec.AnnotationRefName]; isArtifactTag(name) { // the referrers tag schema
			var list ocispec.Index
			if err := json.Unmarshal(body, &list); err != nil {
				return true, fmt.Errorf("%w: %w", registry.ErrCorrupt, err)
			}
			subject := digest.Digest(strings.Replace(name, "-", ":", 1))
			l.refer[subject] = append(l.refer[subject], list.Manifests...)
			return true, nil
		}
		inner, err := index.Parse(body)
		if err != nil {
			return false, fmt.Errorf("%w: %w", registry.ErrCorrupt, err)
		}
		for _, e := range inner {
			l.within[e.Digest] = true
		}
		return false, nil
	}
	m, err := index.ParseManifest(body)
	if err != nil {
		return false, fmt.Errorf("%w: %w", registry.ErrCorrupt, err)
	}
	if m.Subject != "" {
		d.ArtifactType = cmp.Or(d.ArtifactType, m.ArtifactType, m.Config.MediaType)
		l.refer[m.Subject] = append(l.refer[m.Subject], d)
	}
	isImage, _ := m.IsImage()
	return m.Subject != "" && !isImage, nil
}

// observe reads an image of a file, unless it is recorded.
func (r *run) observe(ctx context.Context, repo referrers.Repository, repository, tag string, top ocispec.Descriptor) error {
	old, found, err := r.Catalog.knownTag(ctx, repository, tag, r.Catalog.now())
	if err != nil {
		return ofDatabase(err)
	}
	o := &Observed{Repository: repository, Name: tag}
	keys := r.keysOf(repository)
	err = readImage(ctx, repo, recordedOf{r.Catalog, repository, r.Catalog.now(), keys}, keys, o, top)
	if bad, ok := errors.AsType[databaseError](err); ok {
		return bad
	}
	if err != nil {
		return r.unreadable(ctx, repository, tag, err)
	}
	r.summary.Names++
	switch {
	case !found || old.manifest == 0:
		r.summary.New++
	case old.digest == top.Digest.String():
		r.summary.Same++
	default:
		r.summary.Moved++
	}
	if r.Progress != nil {
		r.Progress(Progress{r.source, repository + ":" + tag, r.summary})
	}
	return ofDatabase(r.Catalog.record(ctx, r.Indexer, r.source.ID, o))
}

func (r *run) unreadable(ctx context.Context, repository, tag string, problem error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.summary.Names, r.summary.Problems = r.summary.Names+1, r.summary.Problems+1
	return ofDatabase(r.Catalog.fail(ctx, r.source.ID, repository, tag, problem.Error()))
}

// dockerArchive reads what docker save writes without an OCI layout: there are no
// manifests, so an image is its config.
func (r *run) dockerArchive(ctx context.Context, name string, store *inspect.Store) error {
	var images []struct {
		Config   string   `json:"Config"`
		RepoTags []string `json:"RepoTags"`
	}
	if err := store.ReadJSON("manifest.json", &images); err != nil {
		return err
	}
	if len(images) > maxLayoutEntries {
		return fmt.Errorf("it has more than %d images", maxLayoutEntries)
	}
	for _, image := range images {
		f, err := store.Open(image.Config)
		if err != nil {
			return err
		}
		text, err := fsutil.ReadAll(image.Config, f, maxContent)
		_ = f.Close()
		var config imageConfig
		if err == nil {
			err = index.ParseConfig(text, &config)
		}
		if err != nil {
			return err
		}
		id := digest.FromBytes(text)
		tags := image.RepoTags
		if len(tags) == 0 {
			tags = []string{id.String()}
		}
		for _, tag := range tags {
			if err := r.config(ctx, name, textutil.Line(tag, maxValue), id, &config); err != nil {
				return err
			}
		}
	}
	return nil
}

// config records an image of which only the config is known.
func (r *run) config(ctx context.Context, name, tag string, id digest.Digest, config *imageConfig) error {
	m := Manifest{Digest: id, Config: id, Environment: nvidiaOf(config.Config.Env)}
	if config.Created != nil {
		m.Created = *config.Created
	}
	v := Variant{Manifest: m, Platform: platformName(&config.Platform)}
	var err error
	if v.Claims.Platform, err = json.Marshal(config.Platform); err != nil {
		return err
	}
	o := &Observed{Repository: name, Name: tag, Top: m, Variants: []Variant{v}, Subjects: []Subject{{Digest: id, Listing: "none"}}}
	r.summary.Names++
	return ofDatabase(r.Catalog.record(ctx, r.Indexer, r.source.ID, o))
}
