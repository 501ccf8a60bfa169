package trust

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
)

const (
	// payloadStatement is the type of an envelope's payload that is an in-toto statement.
	payloadStatement = "application/vnd.in-toto+json"
	statementV1      = "https://in-toto.io/Statement/v1"
	statementV01     = "https://in-toto.io/Statement/v0.1" // cosign 2 writes it

	// PredicateSignature is the predicate type with which cosign 3 signs.
	PredicateSignature = "https://sigstore.dev/cosign/sign/v1"
	// PredicateCompatibility is the predicate type of a description of what an image
	// needs.
	PredicateCompatibility = "https://imagefit.io/compatibility/v1"

	// maxSubjects bounds the subjects of a statement.
	maxSubjects = 256
)

// Statement is an in-toto statement.
type Statement struct {
	PredicateType string
	Predicate     json.RawMessage
	subjects      []digest.Digest
}

// Statement reads the statement in the envelope. Whether it is signed is another question.
func (b *Bundle) Statement() (Statement, error) {
	if b.envelope == nil {
		return Statement{}, errors.New("the bundle has no envelope")
	}
	if b.envelope.payloadType != payloadStatement {
		return Statement{}, fmt.Errorf("the payload is of type %.80q, expected %s", b.envelope.payloadType, payloadStatement)
	}
	return readStatement(b.envelope.payload)
}

func readStatement(text []byte) (Statement, error) {
	var s struct {
		Type          string          `json:"_type"`
		PredicateType string          `json:"predicateType"`
		Predicate     json.RawMessage `json:"predicate"`
		Subject       []struct {
			Digest map[string]string `json:"digest"`
		} `json:"subject"`
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return Statement{}, fmt.Errorf("read statement: %w", err)
	}
	if s.Type != statementV1 && s.Type != statementV01 {
		return Statement{}, fmt.Errorf("the statement is of type %.80q, expected %s", s.Type, statementV1)
	}
	if len(s.Subject) > maxSubjects {
		return Statement{}, fmt.Errorf("the statement has %d subjects, at most %d are read", len(s.Subject), maxSubjects)
	}
	read := Statement{PredicateType: s.PredicateType, Predicate: s.Predicate}
	for _, subject := range s.Subject {
		d := digest.NewDigestFromEncoded(digest.SHA256, subject.Digest["sha256"])
		if d.Validate() == nil {
			read.subjects = append(read.subjects, d)
		}
	}
	return read, nil
}

// IsAbout reports whether a digest is among the subjects.
func (s Statement) IsAbout(d digest.Digest) bool { return slices.Contains(s.subjects, d) }

// Compatibility is the predicate that says what an image needs.
type Compatibility struct {
	// ArtifactType and MediaType are those that an artifact and a layer with the
	// description would have.
	ArtifactType string          `json:"artifactType"`
	MediaType    string          `json:"mediaType"`
	Created      time.Time       `json:"created"`
	Description  json.RawMessage `json:"description"`
}

// Compatibility reads what a statement says an image needs.
func (s Statement) Compatibility() (Compatibility, error) {
	var c Compatibility
	if s.PredicateType != PredicateCompatibility {
		return c, fmt.Errorf("the statement is of type %.80q, expected %s", s.PredicateType, PredicateCompatibility)
	}
	if err := json.Unmarshal(s.Predicate, &c); err != nil {
		return Compatibility{}, fmt.Errorf("read predicate: %w", err)
	}
	if c.ArtifactType == "" || c.MediaType == "" || len(c.Description) == 0 {
		return Compatibility{}, errors.New("the predicate must have artifactType, mediaType and description")
	}
	return c, nil
}

// DescriptionOf returns the description in a bundle that was read before.
func DescriptionOf(bundle []byte) ([]byte, error) {
	b, err := ReadBundle(bundle)
	if err != nil {
		return nil, err
	}
	s, err := b.Statement()
	if err != nil {
		return nil, err
	}
	c, err := s.Compatibility()
	return c.Description, err
}
