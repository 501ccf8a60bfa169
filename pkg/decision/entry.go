package decision

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/description"
	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/registry/referrers"
)

// inlineType is the artifact type of the blob of Proposal J: the
// index points at it without an artifact around it.
const inlineType = dialect.ArtifactType

// preferred keeps the annotations that the operator prefers.
func (l *lookup) preferred(annotations map[string]string) map[string]string {
	var kept map[string]string
	for _, p := range l.ev.Rules.Prefer {
		if value, ok := annotations[p.Key]; ok {
			if kept == nil {
				kept = map[string]string{}
			}
			kept[p.Key] = value
		}
	}
	return kept
}

// readClaims fetches what an entry states of itself outside the index: the blob
// of Proposal J, and, where the operator wants it, NVIDIA's variables.
func (l *lookup) readClaims(ctx context.Context, e *Entry) error {
	pointer, found, err := dialect.EntryCompat(e.claims("").Platform)
	switch {
	case err != nil:
		e.Inline = []referrers.Artifact{{Problem: Line(err.Error())}}
	case found:
		a := referrers.Artifact{Type: inlineType, Layer: digest.Digest(pointer.Digest), MediaType: pointer.MediaType, Size: pointer.Size}
		a.Body, err = l.inlineBody(ctx, ocispec.Descriptor{MediaType: pointer.MediaType, Digest: a.Layer, Size: pointer.Size})
		if err != nil && !registry.IsContentError(err) {
			return err
		}
		if err != nil {
			a.Problem = Line(err.Error())
		}
		e.Inline = []referrers.Artifact{a}
	}
	if l.ev.Rules.InheritBase || l.ev.Rules.Descriptions.NeedsBase(l.name) {
		if err := l.base(ctx, e); err != nil {
			return err
		}
		e.Inherited = l.inherit(ctx, e)
	}
	if !l.ev.Rules.NVIDIARequire {
		return nil
	}
	return l.environment(ctx, e)
}

// inlineBody reads a body, and returns what may stay in memory.
func (l *lookup) inlineBody(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	release, err := l.Reserve(ctx, desc.Size)
	if err != nil {
		return nil, err
	}
	defer release()
	body, err := l.Blob(ctx, desc)
	if err != nil || !l.Keeps(desc.Size) {
		return nil, err
	}
	return body, nil
}

// base reads from the manifest which image the candidate is built on. What is wrong
// with the manifest, the runtime's pull will say.
func (l *lookup) base(ctx context.Context, e *Entry) error {
	m, err := l.imageManifest(ctx, e.Listed.Descriptor)
	if _, notImage := errors.AsType[notImageError](err); notImage || registry.IsContentError(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the manifest of %s: %w", e.Listed.Digest, err)
	}
	of := description.Base{
		Name: textutil.Line(m.Annotations[ocispec.AnnotationBaseImageName], maxWords), Digest: digest.Digest(m.Annotations[ocispec.AnnotationBaseImageDigest]),
	}
	if of.Digest.Validate() != nil {
		of.Digest = ""
	}
	if of != (description.Base{}) {
		e.Claims.Base = &of
	}
	return nil
}

// environment reads NVIDIA's variables out of the image config. What is wrong with
// manifest or config, the runtime's pull will say.
func (l *lookup) environment(ctx context.Context, e *Entry) error {
	m, err := l.imageManifest(ctx, e.Listed.Descriptor)
	var config struct {
		Config struct {
			Env []string `json:"Env"`
		} `json:"config"`
	}
	if err == nil {
		err = l.readConfig(ctx, m, &config)
	}
	if _, notImage := errors.AsType[notImageError](err); notImage || registry.IsContentError(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the config of %s: %w", e.Listed.Digest, err)
	}
	e.Claims.Environment = nvidiaVariables(config.Config.Env)
	return nil
}

func nvidiaVariables(env []string) map[string]string {
	kept := map[string]string{}
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "NVIDIA_") || name == "CUDA_VERSION" {
			kept[name] = value
		}
	}
	return kept
}
