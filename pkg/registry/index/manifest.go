package index

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat/document"
)

// Manifest is what matters of the manifest of an image or an artifact.
type Manifest struct {
	ArtifactType string
	Config       ocispec.Descriptor
	Layers       []ocispec.Descriptor // the first MaxEntries
	Subject      digest.Digest        // empty where there is none
	Annotations  map[string]string
}

// ParseManifest reads a manifest.
func ParseManifest(body []byte) (Manifest, error) {
	if document.Values(body) > maxValues {
		return Manifest{}, fmt.Errorf("the manifest has more than %d values", maxValues)
	}
	var m struct {
		ArtifactType string                  `json:"artifactType"`
		Config       ocispec.Descriptor      `json:"config"`
		Layers       few[ocispec.Descriptor] `json:"layers"`
		Subject      struct {
			Digest digest.Digest `json:"digest"`
		} `json:"subject"`
		Annotations map[string]string `json:"annotations"`
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return Manifest{}, errors.New(textutil.Line("read manifest: "+err.Error(), maxText))
	}
	return Manifest{m.ArtifactType, m.Config, m.Layers.list, m.Subject.Digest, m.Annotations}, nil
}

// IsImage reports whether the manifest is that of an image, and of what is not one what
// it is.
func (m Manifest) IsImage() (bool, string) {
	for _, t := range []string{m.ArtifactType, m.Config.MediaType} {
		if !IsImageType(t) {
			return false, "artifact of type " + textutil.Line(t, maxText)
		}
	}
	return true, ""
}

// ParseConfig reads the config of an image into a value.
func ParseConfig(body []byte, into any) error {
	if document.Values(body) > maxValues {
		return fmt.Errorf("the config has more than %d values", maxValues)
	}
	return json.Unmarshal(body, into)
}

// few is a list of which only the first MaxEntries are read.
type few[T any] struct {
	list []T
	more bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (f *few[T]) UnmarshalJSON(text []byte) error {
	*f = few[T]{}
	dec := json.NewDecoder(bytes.NewReader(text))
	switch token, err := dec.Token(); {
	case err != nil || token == nil:
		return err
	case token != json.Delim('['):
		return fmt.Errorf("found %.20q, want a list", fmt.Sprint(token))
	}
	for dec.More() {
		if f.more = len(f.list) == MaxEntries; f.more {
			return nil
		}
		var one T
		if err := dec.Decode(&one); err != nil {
			return err
		}
		f.list = append(f.list, one)
	}
	return nil
}
