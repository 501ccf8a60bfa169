package trust

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
)

const (
	// BundleType is the media type of a Sigstore bundle and the type of the artifact
	// that carries one.
	BundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"
	// AnnotationPredicate is the annotation of that artifact that tells what the bundle
	// states.
	AnnotationPredicate = "dev.sigstore.bundle.predicateType"
	// AnnotationContent is the annotation of that artifact that tells how it states it.
	AnnotationContent = "dev.sigstore.bundle.content"
	// ContentDSSE is the value of AnnotationContent for an envelope.
	ContentDSSE = "dsse-envelope"

	// MaxBundle bounds the size of a bundle.
	MaxBundle = 2 << 20
	// maxSignatures bounds the signatures in an envelope.
	maxSignatures = 8
)

// Bundle is what a Sigstore bundle has for who knows the key: a signed envelope, or a
// signature of the subject itself. Certificates and log entries in it are not used.
type Bundle struct {
	envelope  *envelope
	signature []byte // of the subject itself
}

// envelope is a DSSE envelope.
type envelope struct {
	payloadType string
	payload     []byte
	signatures  [][]byte
}

// ReadBundle reads a bundle. Nothing of it is verified yet.
func ReadBundle(text []byte) (*Bundle, error) {
	if len(text) > MaxBundle {
		return nil, fmt.Errorf("the bundle has %d bytes, at most %d are read", len(text), MaxBundle)
	}
	var b struct {
		MediaType        string           `json:"mediaType"`
		DSSEEnvelope     *json.RawMessage `json:"dsseEnvelope"`
		MessageSignature *struct {
			Signature string `json:"signature"`
		} `json:"messageSignature"`
	}
	if err := json.Unmarshal(text, &b); err != nil {
		return nil, fmt.Errorf("read bundle: %w", err)
	}
	switch {
	case b.MediaType != BundleType && b.MediaType != "application/vnd.dev.sigstore.bundle+json;version=0.3":
		return nil, fmt.Errorf("the bundle is of type %.80q, expected %s", b.MediaType, BundleType)
	case (b.DSSEEnvelope == nil) == (b.MessageSignature == nil):
		return nil, errors.New("the bundle must have either an envelope (dsseEnvelope) or a signature (messageSignature)")
	case b.MessageSignature != nil:
		signature, err := decode("messageSignature.signature", b.MessageSignature.Signature)
		return &Bundle{signature: signature}, err
	}
	e, err := readEnvelope(*b.DSSEEnvelope)
	return &Bundle{envelope: e}, err
}

func readEnvelope(text []byte) (*envelope, error) {
	var e struct {
		Payload     string `json:"payload"`
		PayloadType string `json:"payloadType"`
		Signatures  []struct {
			Sig string `json:"sig"`
		} `json:"signatures"`
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return nil, fmt.Errorf("read envelope: %w", err)
	}
	if n := len(e.Signatures); n == 0 || n > maxSignatures {
		return nil, fmt.Errorf("the envelope has %d signatures, expected 1 to %d", n, maxSignatures)
	}
	read := &envelope{payloadType: e.PayloadType}
	var err error
	if read.payload, err = decode("payload", e.Payload); err != nil {
		return nil, err
	}
	for _, s := range e.Signatures {
		signature, err := decode("signature", s.Sig)
		if err != nil {
			return nil, err
		}
		read.signatures = append(read.signatures, signature)
	}
	return read, nil
}

// decode decodes what must be written as base64 in the one canonical way.
func decode(what, text string) ([]byte, error) {
	decoded, err := base64.StdEncoding.Strict().DecodeString(text)
	if err == nil && strings.ContainsAny(text, "\r\n") {
		err = errors.New("it has line breaks")
	}
	if err != nil {
		return nil, fmt.Errorf("%s is not valid base64: %w", what, err)
	}
	if len(decoded) == 0 {
		return nil, fmt.Errorf("%s is empty", what)
	}
	return decoded, nil
}

// preauth is what DSSE signs: the payload bound to its type.
func preauth(payloadType string, payload []byte) []byte {
	var b bytes.Buffer
	b.Grow(len(payload) + len(payloadType) + 40)
	fmt.Fprintf(&b, "DSSEv1 %d %s %d ", len(payloadType), payloadType, len(payload))
	b.Write(payload)
	return b.Bytes()
}

// Subject is a manifest or an index that may be signed.
type Subject struct {
	Digest  digest.Digest
	Content []byte
}

// VerifySignature returns the key that signed a subject as an image is signed: by a
// statement of cosign's about its digest, or directly.
func (b *Bundle) VerifySignature(subject Subject, try *Attempts) (Key, error) {
	if b.envelope == nil {
		if digest.FromBytes(subject.Content) != subject.Digest {
			return Key{}, errors.New("the content of the subject is not at hand")
		}
		return try.any(subject.Content, b.signature)
	}
	s, err := b.Statement()
	if err != nil {
		return Key{}, err
	}
	if s.PredicateType != PredicateSignature {
		return Key{}, fmt.Errorf("it is a statement of type %.80q, not a signature", s.PredicateType)
	}
	if !s.IsAbout(subject.Digest) {
		return Key{}, errors.New("it is the signature of something else")
	}
	return b.VerifyEnvelope(try)
}

// VerifyEnvelope returns the key that signed the envelope. What its statement is about
// is for the caller to compare.
func (b *Bundle) VerifyEnvelope(try *Attempts) (Key, error) {
	if b.envelope == nil {
		return Key{}, errors.New("the bundle has no envelope")
	}
	return try.any(preauth(b.envelope.payloadType, b.envelope.payload), b.envelope.signatures...)
}
