package trust

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
)

const (
	// SimpleType is the media type of what cosign up to 2 signs, each in a layer of an
	// image under the tag that SimpleTag returns.
	SimpleType = "application/vnd.dev.cosign.simplesigning.v1+json"
	// AnnotationSignature is the annotation of the layer with the signature.
	AnnotationSignature = "dev.cosignproject.cosign/signature"
	// MaxSimple bounds the size of such a layer.
	MaxSimple  = 64 << 10
	simpleKind = "cosign container image signature"
)

// SimpleTag is the tag of cosign's signatures of a manifest.
func SimpleTag(d digest.Digest) string {
	return strings.Replace(d.String(), ":", "-", 1) + ".sig"
}

// VerifySimple returns the key that signed a subject as cosign up to 2 does.
func VerifySimple(payload []byte, signature string, subject digest.Digest, try *Attempts) (Key, error) {
	if len(payload) > MaxSimple {
		return Key{}, fmt.Errorf("the payload has %d bytes, at most %d are read", len(payload), MaxSimple)
	}
	var p struct {
		Critical struct {
			Type  string `json:"type"`
			Image struct {
				Digest digest.Digest `json:"docker-manifest-digest"`
			} `json:"image"`
		} `json:"critical"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return Key{}, fmt.Errorf("read payload: %w", err)
	}
	if p.Critical.Type != simpleKind {
		return Key{}, fmt.Errorf("the payload is of type %.80q, expected %q", p.Critical.Type, simpleKind)
	}
	if p.Critical.Image.Digest != subject {
		return Key{}, errors.New("it is the signature of something else")
	}
	decoded, err := decode("signature", signature)
	if err != nil {
		return Key{}, err
	}
	return try.any(payload, decoded)
}
