package trust

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/opencontainers/go-digest"
)

// SignatureStatement is the statement that a manifest is signed, as cosign 3 makes it.
func SignatureStatement(d digest.Digest) ([]byte, error) {
	return statementOf(d, PredicateSignature, struct{}{})
}

// CompatibilityStatement is the statement that a manifest needs something.
func CompatibilityStatement(d digest.Digest, c Compatibility) ([]byte, error) {
	return statementOf(d, PredicateCompatibility, c)
}

func statementOf(d digest.Digest, predicateType string, predicate any) ([]byte, error) {
	type subject struct {
		Digest map[string]string `json:"digest"`
	}
	text, err := json.Marshal(struct {
		Type          string    `json:"_type"`
		Subject       []subject `json:"subject"`
		PredicateType string    `json:"predicateType"`
		Predicate     any       `json:"predicate"`
	}{statementV1, []subject{{map[string]string{d.Algorithm().String(): d.Encoded()}}}, predicateType, predicate})
	if err != nil {
		return nil, fmt.Errorf("encode statement: %w", err)
	}
	return text, nil
}

// Preauth is what has to be signed for a statement.
func Preauth(statement []byte) []byte { return preauth(payloadStatement, statement) }

// Seal makes a bundle of a statement and the signature of its Preauth. hint helps others
// to find the key.
func Seal(statement, signature []byte, hint string) ([]byte, error) {
	encode := base64.StdEncoding.EncodeToString
	type object = map[string]any
	text, err := json.Marshal(object{
		"mediaType":            BundleType,
		"verificationMaterial": object{"publicKey": object{"hint": hint}},
		"dsseEnvelope": object{
			"payload": encode(statement), "payloadType": payloadStatement,
			"signatures": []object{{"sig": encode(signature)}},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("encode bundle: %w", err)
	}
	return text, nil
}
