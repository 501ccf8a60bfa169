package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"time"
)

// kind is what an object is.
type kind byte

const (
	blobObject   kind = 'b' // by digest
	sourceObject kind = 's' // that another repository has a blob too, by the hash of both; it is empty
	listObject   kind = 'r' // of referrers, by the hash of its key
)

type hash [sha256.Size]byte

// owner is the repository that an object came from, as a hash; the zero one is unknown.
type owner [16]byte

func ownerOf(repository string) (o owner) {
	if repository != "" {
		sum := sha256.Sum256([]byte(repository))
		copy(o[:], sum[:])
	}
	return o
}

// object is one thing in a pack or in a file of its own.
type object struct {
	kind    kind
	key     hash
	owner   owner
	written time.Time
	used    time.Time // to the second
	content []byte

	sum [sumSize]byte // as it was read
}

// An object on disk begins with a header. Its sum is that of everything but the time of
// the last use, which is overwritten in its place.
const (
	magic      = "IFO1"
	sumSize    = 24
	sizeAt     = 8
	usedAt     = 16
	writtenAt  = 24
	ownerAt    = 32
	keyAt      = 48
	sumAt      = keyAt + sha256.Size
	headerSize = sumAt + sumSize
)

func (o *object) size() int { return headerSize + len(o.content) }

// encode returns the object as it is on disk.
func (o *object) encode() []byte {
	text := make([]byte, headerSize, o.size())
	copy(text, magic)
	text[len(magic)] = byte(o.kind)
	binary.LittleEndian.PutUint32(text[sizeAt:], uint32(len(o.content))) //nolint:gosec // at most maxFile
	binary.LittleEndian.PutUint64(text[usedAt:], uint64(o.used.Unix()))  //nolint:gosec // the sign does not matter
	binary.LittleEndian.PutUint64(text[writtenAt:], uint64(o.written.UnixNano()))
	copy(text[ownerAt:], o.owner[:])
	copy(text[keyAt:], o.key[:])
	text = append(text, o.content...)
	sum := sumOf(text)
	copy(text[sumAt:], sum[:])
	return text
}

func sumOf(text []byte) (sum [sumSize]byte) {
	h := sha256.New()
	h.Write(text[:usedAt])
	h.Write(text[writtenAt:sumAt])
	h.Write(text[headerSize:])
	copy(sum[:], h.Sum(nil))
	return sum
}

// decode reads the object at the beginning of a text, whose content stays part of it. ok
// is false where there is none, or not all of it.
func decode(text []byte) (o object, ok bool) {
	if len(text) < headerSize || string(text[:len(magic)]) != magic {
		return object{}, false
	}
	size := int(binary.LittleEndian.Uint32(text[sizeAt:]))
	if size < 0 || size > maxFile || size > len(text)-headerSize {
		return object{}, false
	}
	o = object{
		kind:    kind(text[len(magic)]),
		written: time.Unix(0, signed(text[writtenAt:])).UTC(),
		used:    time.Unix(signed(text[usedAt:]), 0),
		content: text[headerSize : headerSize+size],
	}
	copy(o.owner[:], text[ownerAt:])
	copy(o.key[:], text[keyAt:])
	copy(o.sum[:], text[sumAt:])
	return o, true
}

// signed reads a time. What is damaged is some time too.
func signed(text []byte) int64 { return int64(binary.LittleEndian.Uint64(text) & math.MaxInt64) }

// isWhole verifies an object that was decoded at the beginning of a text.
func (o *object) isWhole(text []byte) bool {
	sum := sumOf(text[:o.size()])
	return bytes.Equal(sum[:], o.sum[:])
}
