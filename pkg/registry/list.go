package registry

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/imagefit/imagefit/pkg/compat/dialect"
	"github.com/imagefit/imagefit/pkg/trust"
)

const (
	maxPages = 10
	// maxReferrers is how many entries a list of referrers may have.
	maxReferrers = 1_000
	// maxListed is how far a longer list is read, for what counts may come last, and
	// maxListedInAll how far all lists of one pull together.
	maxListed, maxListedInAll = 10_000, 30_000
	// keptReferrers is how many referrers of one list are kept, several times as many as
	// are opened.
	keptReferrers = 64
	// maxDescriptor bounds the text of one entry, and of anything else in a list.
	maxDescriptor = 64 << 10
	// maxReferrerText bounds what is kept of an entry, string by string.
	maxReferrerText = 512
)

// Listing is what refers to a manifest.
type Listing struct {
	// Referrers are all of them, or of many those that count: the compatibility
	// artifacts by their type, the newest first. Of their annotations they have the time.
	Referrers []ocispec.Descriptor
	Total     int // of the entries, as far as the list was read
	// Incomplete says why there may be more that count; it is empty for a list that was
	// read as a whole.
	Incomplete string
	NoAPI      bool // the list came without the referrers API
	Personal   bool // others may get another list than these credentials
	Unasked    bool // no host that this pull uses is trusted to list them, so none was asked
}

// shortlist counts what is listed, and keeps what counts.
type shortlist struct {
	compat     map[string]bool // artifact types
	kept       []ocispec.Descriptor
	total      int
	incomplete string
}

// add takes the entries of one page.
func (s *shortlist) add(d ocispec.Descriptor) {
	s.total++
	if s.kept = append(s.kept, d); len(s.kept) >= 4*keptReferrers {
		s.cut()
	}
}

// cut leaves what counts. A list that is short stays as the registry orders it.
func (s *shortlist) cut() {
	if len(s.kept) <= keptReferrers {
		return
	}
	slices.SortStableFunc(s.kept, func(a, b ocispec.Descriptor) int {
		named, newer := 0, Created(b.Annotations).Compare(Created(a.Annotations))
		if s.matters(a) != s.matters(b) {
			named = 1
			if s.matters(a) {
				named = -1
			}
		}
		return cmp.Or(named, newer)
	})
	s.kept = slices.Clone(s.kept[:keptReferrers])
}

// matters reports whether an entry is named as one that says what an image needs.
func (s *shortlist) matters(d ocispec.Descriptor) bool {
	return s.compat[d.ArtifactType] || IsStatement(d)
}

// IsStatement reports whether a referrer may be a bundle that says what an image needs:
// where the list does not tell what a bundle states, as cosign writes it under the referrers
// tag, any may.
func IsStatement(d ocispec.Descriptor) bool { return states(d, trust.PredicateCompatibility) }

// IsSignature reports whether a referrer may be a bundle that signs its subject. Others,
// such as the attestations of build and scan tools, may be many.
func IsSignature(d ocispec.Descriptor) bool { return states(d, trust.PredicateSignature) }

func states(d ocispec.Descriptor, predicate string) bool {
	stated := d.Annotations[trust.AnnotationPredicate]
	return d.ArtifactType == trust.BundleType && (stated == "" || stated == predicate)
}

// Created is the time of an artifact by its annotations, zero where they say none. The
// proposals print the key with a misspelt prefix, so artifacts copied from them have that.
func Created(annotations map[string]string) time.Time {
	for _, key := range createdKeys() {
		if t, err := time.Parse(time.RFC3339, annotations[key]); err == nil {
			return t
		}
	}
	return time.Time{}
}

func createdKeys() []string {
	return []string{ocispec.AnnotationCreated, "oci.opencontainers.image.created"}
}

// longError ends the reading of a list.
type longError string

func (e longError) Error() string { return string(e) }

// read reads one page, entry by entry, and never has more than one in memory. limit is
// how many entries it may have with the pages before. A page that is longer than any
// limit is no error: what is read of it counts.
func (s *shortlist) read(body io.Reader, limit int) error {
	in := &portions{from: body, page: maxBytes}
	dec := json.NewDecoder(in)
	err := object(dec, in, func(key string) error {
		if !strings.EqualFold(key, "manifests") { // as the package json compares keys
			return in.decode(dec, &ignored{})
		}
		return array(dec, in, func() error {
			if s.total >= limit {
				return longError(tooMany())
			}
			var d ocispec.Descriptor
			if err := in.decode(dec, (*referrer)(&d)); err != nil {
				return err
			}
			s.add(d)
			return nil
		})
	})
	long, isLong := errors.AsType[longError](err)
	switch {
	case isLong:
		s.incomplete = string(long)
	case in.failed != nil: // the registry, not what it sent
		return fmt.Errorf("read body: %w", in.failed)
	case err != nil:
		return fmt.Errorf("%w: read list: %w", ErrCorrupt, err)
	case s.total > maxReferrers:
		s.incomplete = tooMany()
	}
	return nil
}

func tooMany() string { return fmt.Sprintf("it has more than %d entries", maxReferrers) }

// portions hands out a page in portions that the decoder must make do with.
type portions struct {
	from io.Reader
	page int64 // bytes left of the page
	left int64 // and of the portion

	failed error // of from
}

// Read implements io.Reader.
func (p *portions) Read(b []byte) (int, error) {
	switch {
	case p.page <= 0:
		return 0, longError(fmt.Sprintf("one page has more than %d bytes", maxBytes))
	case p.left <= 0:
		return 0, longError(fmt.Sprintf("an entry has more than %d bytes", maxDescriptor))
	}
	n, err := p.from.Read(b[:min(int64(len(b)), p.left, p.page)])
	p.left, p.page = p.left-int64(n), p.page-int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		p.failed = err
	}
	return n, err
}

// decode reads one value.
func (p *portions) decode(dec *json.Decoder, v any) error {
	p.left = maxDescriptor
	return dec.Decode(v)
}

func (p *portions) token(dec *json.Decoder) (json.Token, error) {
	p.left = maxDescriptor
	return dec.Token()
}

// object calls member for each member of an object; it must read the value. null is
// an object without members.
func object(dec *json.Decoder, in *portions, member func(key string) error) error {
	return inside(dec, in, '{', func() error {
		key, err := in.token(dec)
		if err != nil {
			return err
		}
		return member(fmt.Sprint(key))
	})
}

func array(dec *json.Decoder, in *portions, member func() error) error {
	return inside(dec, in, '[', member)
}

func inside(dec *json.Decoder, in *portions, open json.Delim, member func() error) error {
	switch token, err := in.token(dec); {
	case err != nil:
		return err
	case token == nil: // null
		return nil
	case token != open:
		return fmt.Errorf("found %.20q, want %v", fmt.Sprint(token), open)
	}
	for in.left = maxDescriptor; dec.More(); in.left = maxDescriptor {
		if err := member(); err != nil {
			return err
		}
	}
	_, err := in.token(dec)
	return err
}

// ignored is a value of no interest.
type ignored struct{}

// UnmarshalJSON implements json.Unmarshaler.
func (*ignored) UnmarshalJSON([]byte) error { return nil }

// referrer is a descriptor of which only what decides about referrers is kept.
type referrer ocispec.Descriptor

// UnmarshalJSON implements json.Unmarshaler.
func (r *referrer) UnmarshalJSON(text []byte) error {
	var d struct {
		MediaType    string            `json:"mediaType"`
		Digest       string            `json:"digest"`
		Size         int64             `json:"size"`
		ArtifactType string            `json:"artifactType"`
		Annotations  map[string]string `json:"annotations"`
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return err
	}
	cut := func(s string) string { return strings.Clone(s[:min(len(s), maxReferrerText)]) }
	kept := ocispec.Descriptor{MediaType: cut(d.MediaType), Size: d.Size, ArtifactType: cut(d.ArtifactType)}
	kept.Digest = digest.Digest(cut(d.Digest))
	for _, key := range append(createdKeys(), trust.AnnotationPredicate) {
		if at, ok := d.Annotations[key]; ok {
			if kept.Annotations == nil {
				kept.Annotations = map[string]string{}
			}
			kept.Annotations[key] = cut(at)
		}
	}
	*r = referrer(kept)
	return nil
}

func newShortlist() *shortlist {
	s := &shortlist{compat: map[string]bool{}}
	for _, d := range dialect.All() {
		for _, t := range d.ArtifactTypes {
			s.compat[t] = true
		}
	}
	return s
}
