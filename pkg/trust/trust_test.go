package trust_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/imagefit/imagefit/internal/testkit/trusttest"
	"github.com/imagefit/imagefit/pkg/trust"
)

const manifest = `{"schemaVersion":2}`

func subject() trust.Subject {
	return trust.Subject{Digest: digest.FromString(manifest), Content: []byte(manifest)}
}

func message(signature []byte) []byte {
	return fmt.Appendf(nil, `{"mediaType":%q,"messageSignature":{"signature":%q}}`, trust.BundleType, base64.StdEncoding.EncodeToString(signature))
}

func TestEveryKindOfKeyVerifiesWhatItSigned(t *testing.T) {
	t.Parallel()
	for _, kind := range trusttest.Kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			signer := trusttest.New(t, kind)
			text, err := signer.PEM()
			if err != nil {
				t.Fatal(err)
			}
			read, err := trust.ParseKeys("ops.pub", text)
			if err != nil || len(read) != 1 || read[0].Name != "ops.pub" || read[0].ID != signer.ID {
				t.Fatalf("read back %+v, %v", read, err)
			}
			for name, text := range map[string][]byte{
				"statement": signer.SignDigest(t, subject().Digest),
				"message":   message(signer.Sign(t, []byte(manifest))),
			} {
				bundle, err := trust.ReadBundle(text)
				if err != nil {
					t.Fatal(err)
				}
				by, err := bundle.VerifySignature(subject(), trust.NewAttempts(read))
				if err != nil || by.ID != signer.ID {
					t.Errorf("%s: signed by %q, %v", name, by.Name, err)
				}
			}
		})
	}
}

// rewrite changes a bundle, as whoever may write to the registry can.
func rewrite(t *testing.T, bundle []byte, change func(envelope map[string]any)) []byte {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal(bundle, &all); err != nil {
		t.Fatal(err)
	}
	change(all["dsseEnvelope"].(map[string]any))
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestAttacksOnBundlesAreRefused(t *testing.T) {
	t.Parallel()
	ops, other := trusttest.New(t, "p256"), trusttest.New(t, "p256")
	small, pss := trusttest.New(t, "ed25519"), trusttest.New(t, "rsa-pss")
	good := ops.SignDigest(t, subject().Digest)
	statement, err := trust.SignatureStatement(subject().Digest)
	if err != nil {
		t.Fatal(err)
	}
	signature := base64.StdEncoding.EncodeToString(ops.Sign(t, trust.Preauth(statement)))
	plain := base64.StdEncoding.EncodeToString(ops.Sign(t, statement))
	sbom := bytes.Replace(statement, []byte(trust.PredicateSignature), []byte("https://spdx.dev/Document"), 1)
	sigs := func(texts ...string) func(map[string]any) {
		return func(e map[string]any) {
			var all []map[string]any
			for _, s := range texts {
				all = append(all, map[string]any{"sig": s, "keyid": ops.ID})
			}
			e["signatures"] = all
		}
	}
	repeat := func(n int, s string) []string { return strings.Split(strings.Repeat(s+" ", n-1)+s, " ") }
	for _, tt := range []struct{ name, bundle, want string }{
		{"another key", string(other.SignDigest(t, subject().Digest)), "not signed by a trusted key"},
		{"another subject", string(ops.SignDigest(t, digest.FromString("other"))), "signature of something else"},
		{"another predicate", string(ops.Seal(t, sbom)), "not a signature"},
		{"payload type swapped", string(rewrite(t, good, func(e map[string]any) { e["payloadType"] = "text/plain" })), "payload is of type"},
		{"payload swapped", string(rewrite(t, good, func(e map[string]any) {
			e["payload"] = base64.StdEncoding.EncodeToString(append(bytes.Clone(statement), ' '))
		})), "not signed by a trusted key"},
		{"payload signed without its type", string(rewrite(t, good, sigs(plain))), "not signed by a trusted key"},
		{"no signatures", string(rewrite(t, good, sigs())), "0 signatures"},
		{"many signatures", string(rewrite(t, good, sigs(repeat(9, signature)...))), "9 signatures"},
		{"the same wrong signature again", string(rewrite(t, good, sigs(repeat(8, plain)...))), "not signed by a trusted key"},
		{"a signature that is empty", string(rewrite(t, good, sigs(""))), "signature is empty"},
		{"base64 with line breaks", string(rewrite(t, good, sigs(signature[:8]+"\n"+signature[8:]))), "line breaks"},
		{"base64 for URLs", string(rewrite(t, good, sigs("-_-_"))), "not valid base64"},
		{"base64 with other final bits", string(rewrite(t, good, sigs("QUJ="))), "not valid base64"},
		{"signature with something behind it", string(rewrite(t, good, sigs(base64.StdEncoding.EncodeToString(append(ops.Sign(t, trust.Preauth(statement)), 0))))), "not signed by a trusted key"},
		{"an Ed25519 key's signature that names another key", string(rewrite(t, small.SignDigest(t, subject().Digest), func(e map[string]any) {
			e["signatures"].([]any)[0].(map[string]any)["keyid"] = ops.ID
		})), "not signed by a trusted key"},
		{"an RSA key's signature", string(pss.SignDigest(t, subject().Digest)), "not signed by a trusted key"},
		{"envelope and message", strings.Replace(string(good), `"dsseEnvelope"`, `"messageSignature":{"signature":"QQ=="},"dsseEnvelope"`, 1), "either an envelope"},
		{"neither", `{"mediaType":"` + trust.BundleType + `"}`, "either an envelope"},
		{"an older bundle", strings.Replace(string(good), "v0.3+json", "v0.1+json", 1), "is of type"},
		{"not a bundle", `[1]`, "read bundle"},
		{"huge", string(good) + strings.Repeat(" ", trust.MaxBundle), "at most"},
		{"statement of another type", string(ops.Seal(t, bytes.Replace(statement, []byte("Statement/v1"), []byte("Statement/v9"), 1))), "statement is of type"},
		{"a message that another key signed", string(message(other.Sign(t, []byte(manifest)))), "not signed by a trusted key"},
		{"a message about another manifest", string(message(ops.Sign(t, []byte("x")))), "not signed by a trusted key"},
		{"the digest of the subject in upper case", string(ops.Seal(t, bytes.Replace(statement, []byte(subject().Digest.Encoded()), []byte(strings.ToUpper(subject().Digest.Encoded())), 1))), "signature of something else"},
	} {
		bundle, err := trust.ReadBundle([]byte(tt.bundle))
		if err == nil {
			_, err = bundle.VerifySignature(subject(), trust.NewAttempts([]trust.Key{ops.Key}))
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestTheSubjectOfAMessageMustBeAtHand(t *testing.T) {
	t.Parallel()
	ops := trusttest.New(t, "ed25519")
	bundle, err := trust.ReadBundle(message(ops.Sign(t, []byte("mine"))))
	if err != nil {
		t.Fatal(err)
	}
	for _, content := range []string{"", "mine"} {
		s := trust.Subject{Digest: subject().Digest, Content: []byte(content)}
		if by, err := bundle.VerifySignature(s, trust.NewAttempts([]trust.Key{ops.Key})); err == nil {
			t.Errorf("content %q: signed by %s", content, by.Name)
		}
	}
}

func TestAttemptsAreBounded(t *testing.T) {
	t.Parallel()
	ops, other := trusttest.New(t, "ed25519"), trusttest.New(t, "ed25519")
	try := trust.NewAttempts([]trust.Key{ops.Key})
	wrong, err := trust.ReadBundle(other.SignDigest(t, subject().Digest))
	if err != nil {
		t.Fatal(err)
	}
	for range trust.MaxAttempts {
		if _, err := wrong.VerifySignature(subject(), try); !errors.Is(err, trust.ErrUnverified) {
			t.Fatal(err)
		}
	}
	good, err := trust.ReadBundle(ops.SignDigest(t, subject().Digest))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := good.VerifySignature(subject(), try); err == nil || !strings.Contains(err.Error(), "more signatures than are verified") {
		t.Errorf("after %d attempts: %v", trust.MaxAttempts, err)
	}
}

func TestLargeMessagesCostMoreAttempts(t *testing.T) {
	t.Parallel()
	ops, other := trusttest.New(t, "ed25519"), trusttest.New(t, "ed25519")
	large, err := trust.CompatibilityStatement(subject().Digest, trust.Compatibility{
		ArtifactType: "a", MediaType: "m", Description: json.RawMessage(`"` + strings.Repeat("x", 1<<20) + `"`),
	})
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := trust.ReadBundle(other.Seal(t, large))
	if err != nil {
		t.Fatal(err)
	}
	try, times := trust.NewAttempts([]trust.Key{ops.Key}), 0
	for errors.Is(err, trust.ErrUnverified) || err == nil {
		_, err = wrong.VerifyEnvelope(try)
		times++
	}
	if times > 10 {
		t.Errorf("a message of 1 MiB was compared %d times", times)
	}
}

// TestWhatWasVerifiedCostsNoAttempt so that signatures which a stranger adds do not keep
// what is known to be good from counting; and it counts for no other key, message or
// signature.
func TestWhatWasVerifiedCostsNoAttempt(t *testing.T) {
	t.Parallel()
	ops, other := trusttest.New(t, "p384"), trusttest.New(t, "ed25519")
	good, wrong := ops.SignDigest(t, subject().Digest), other.SignDigest(t, subject().Digest)
	elsewhere := trust.Subject{Digest: digest.FromString("other")}
	known := trust.NewVerified()
	verify := func(text []byte, s trust.Subject, try *trust.Attempts) error {
		bundle, err := trust.ReadBundle(text)
		if err != nil {
			t.Fatal(err)
		}
		_, err = bundle.VerifySignature(s, try)
		return err
	}
	if err := verify(good, subject(), trust.NewAttempts([]trust.Key{ops.Key}).Knowing(known)); err != nil {
		t.Fatal(err)
	}
	try := trust.NewAttempts([]trust.Key{ops.Key}).Knowing(known)
	for range trust.MaxAttempts + 1 {
		if err := verify(wrong, subject(), try); err == nil {
			t.Fatal("another key's signature is taken")
		}
	}
	if err := verify(good, subject(), try); err != nil {
		t.Errorf("what was verified before: %v", err)
	}
	if err := verify(good, elsewhere, try); err == nil {
		t.Error("it counts for another manifest")
	}
	if err := verify(good, subject(), trust.NewAttempts([]trust.Key{other.Key}).Knowing(known)); err == nil {
		t.Error("it counts where its key is not trusted")
	}
}

func TestCosignsOlderSignatures(t *testing.T) {
	t.Parallel()
	payload := func(kind, d string) []byte {
		return fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":"r.example/app"},"image":{"docker-manifest-digest":%q},"type":%q},"optional":null}`, d, kind)
	}
	const kind = "cosign container image signature"
	if tag := trust.SimpleTag(subject().Digest); !strings.HasPrefix(tag, "sha256-") || !strings.HasSuffix(tag, ".sig") {
		t.Error(tag)
	}
	ops := trusttest.New(t, "p384 with sha256")
	good := payload(kind, subject().Digest.String())
	for _, tt := range []struct {
		name    string
		payload []byte
		want    string
	}{
		{"signed", good, ""},
		{"another type", payload("atomic container signature", subject().Digest.String()), "payload is of type"},
		{"another subject", payload(kind, digest.FromString("x").String()), "something else"},
		{"not JSON", []byte("x"), "read payload"},
		{"huge", append(bytes.Clone(good), bytes.Repeat([]byte(" "), trust.MaxSimple)...), "at most"},
	} {
		signature := base64.StdEncoding.EncodeToString(ops.Sign(t, tt.payload))
		_, err := trust.VerifySimple(tt.payload, signature, subject().Digest, trust.NewAttempts([]trust.Key{ops.Key}))
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, err := trust.VerifySimple(good, "!", subject().Digest, trust.NewAttempts([]trust.Key{ops.Key})); err == nil {
		t.Error("a signature that is not base64 is taken")
	}
}

func TestKeysThatAreNotTaken(t *testing.T) {
	t.Parallel()
	encode := func(kind string, public any) string {
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	signer := trusttest.New(t, "ed25519")
	text, err := signer.PEM()
	if err != nil {
		t.Fatal(err)
	}
	good := string(text)
	for _, tt := range []struct{ name, text, want string }{
		{"P-224", encode("PUBLIC KEY", p224.Public()), "curve P-224"},
		{"P-521", encode("PUBLIC KEY", p521.Public()), "curve P-521"},
		{"weak RSA", encode("PUBLIC KEY", weak.Public()), "1024 bits"},
		{"private key", encode("ENCRYPTED SIGSTORE PRIVATE KEY", p224.Public()), "is a private key"},
		{"certificate", encode("CERTIFICATE", p224.Public()), "CERTIFICATE"},
		{"empty", " \n", "empty"},
		{"not PEM", "ssh-ed25519 AAAA", "not a public key in PEM"},
		{"something before it", "x\n" + good, "not a public key in PEM"},
		{"something behind it", good + "x", "not a public key in PEM"},
		{"cut off", good[:len(good)-10], "damaged"},
		{"not a key", "-----BEGIN PUBLIC KEY-----\nQUJD\n-----END PUBLIC KEY-----\n", "read public key"},
		{"too many", strings.Repeat(good, 17), "more than 16 keys"},
		{"too large", good + strings.Repeat("\n", trust.MaxKeyFile), "at most"},
	} {
		if _, err := trust.ParseKeys("a.pub", []byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	two, err := trust.ParseKeys("a.pub", []byte(good+good))
	if err != nil || two[0].Name != "a.pub" || two[1].Name != "a.pub#2" {
		t.Errorf("%+v, %v", two, err)
	}
}

func TestCompatibilityStatements(t *testing.T) {
	t.Parallel()
	ops := trusttest.New(t, "p256")
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	statement, err := trust.CompatibilityStatement(subject().Digest, trust.Compatibility{
		ArtifactType: "a", MediaType: "m", Created: at, Description: json.RawMessage(`{"version":"1"}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := trust.ReadBundle(ops.Seal(t, statement))
	if err != nil {
		t.Fatal(err)
	}
	s, err := bundle.Statement()
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Compatibility()
	if err != nil || c.ArtifactType != "a" || c.MediaType != "m" || !c.Created.Equal(at) || string(c.Description) != `{"version":"1"}` || !s.IsAbout(subject().Digest) {
		t.Errorf("%+v, %v", c, err)
	}
	if by, err := bundle.VerifyEnvelope(trust.NewAttempts([]trust.Key{ops.Key})); err != nil || by.ID != ops.ID {
		t.Errorf("by %s, %v", by.Name, err)
	}
	if _, err := bundle.VerifySignature(subject(), trust.NewAttempts([]trust.Key{ops.Key})); err == nil {
		t.Error("a description is taken for a signature of the image")
	}
	text, err := trust.DescriptionOf(ops.Seal(t, statement))
	if err != nil || string(text) != `{"version":"1"}` {
		t.Errorf("%s, %v", text, err)
	}
}

func TestTheRuleOfTheLongestPrefixApplies(t *testing.T) {
	t.Parallel()
	rules := &trust.Rules{Repositories: map[string]trust.Rule{"r.example/team": {Signed: true}, "r.example/team/open": {}}}
	for repository, want := range map[string]bool{
		"r.example/team": true, "r.example/team/app": true, "r.example/teams": false, "r.example/team/open/x": false, "q.example/team": false,
	} {
		if got := rules.For(repository).Signed; got != want {
			t.Errorf("%s: signed %t", repository, got)
		}
	}
	var none *trust.Rules
	if none.For("r.example/a").Signed || none.AnySigned() || !rules.AnySigned() {
		t.Error("without rules no signature is needed")
	}
}

func FuzzBundle(f *testing.F) {
	ops := trusttest.New(f, "ed25519")
	f.Add(ops.SignDigest(f, subject().Digest))
	f.Add(message([]byte("x")))
	f.Add([]byte(`{"dsseEnvelope":{"signatures":[{}]}}`))
	other := trusttest.New(f, "p256")
	f.Fuzz(func(t *testing.T, text []byte) {
		bundle, err := trust.ReadBundle(text)
		if err != nil {
			return
		}
		if by, err := bundle.VerifySignature(subject(), trust.NewAttempts([]trust.Key{other.Key})); err == nil {
			t.Errorf("signed by %s", by.Name)
		}
		if s, err := bundle.Statement(); err == nil {
			_, _ = s.Compatibility()
		}
		_, _ = trust.DescriptionOf(text)
	})
}

func FuzzSimple(f *testing.F) {
	f.Add([]byte(`{"critical":{"image":{"docker-manifest-digest":"sha256:"},"type":"cosign container image signature"}}`), "QUJD")
	ops := trusttest.New(f, "ed25519")
	f.Fuzz(func(t *testing.T, payload []byte, signature string) {
		if by, err := trust.VerifySimple(payload, signature, subject().Digest, trust.NewAttempts([]trust.Key{ops.Key})); err == nil {
			t.Errorf("signed by %s", by.Name)
		}
	})
}

func FuzzKeys(f *testing.F) {
	text, err := trusttest.New(f, "ed25519").PEM()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := trust.ParseKeys("a", text)
		if (err == nil) == (len(keys) == 0) {
			t.Errorf("%d keys, %v", len(keys), err)
		}
	})
}

// BenchmarkVerifyAgain is what a signature costs that was verified before.
func BenchmarkVerifyAgain(b *testing.B) {
	signer, known := trusttest.New(b, "p384"), trust.NewVerified()
	text := signer.SignDigest(b, subject().Digest)
	for b.Loop() {
		bundle, err := trust.ReadBundle(text)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := bundle.VerifySignature(subject(), trust.NewAttempts([]trust.Key{signer.Key}).Knowing(known)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, kind := range trusttest.Kinds() {
		b.Run(kind, func(b *testing.B) {
			signer := trusttest.New(b, kind)
			text := signer.SignDigest(b, subject().Digest)
			b.ReportAllocs()
			for b.Loop() {
				bundle, err := trust.ReadBundle(text)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := bundle.VerifySignature(subject(), trust.NewAttempts([]trust.Key{signer.Key})); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
