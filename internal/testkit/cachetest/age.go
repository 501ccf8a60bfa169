// Package cachetest changes what a cache has on disk.
package cachetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// What pkg/cache writes before each object.
const (
	magic                                 = "IFO1"
	sizeAt, usedAt, writtenAt, sumAt, end = 8, 16, 24, 80, 104
)

// Shift moves the times at which the lists of referrers in a state folder were written,
// and returns how many there are.
func Shift(dir string, by time.Duration) (lists int, err error) {
	found, err := filepath.Glob(filepath.Join(dir, "objects", "*.*"))
	if err != nil {
		return 0, err
	}
	for _, path := range found {
		text, err := os.ReadFile(path)
		if err != nil {
			return 0, err
		}
		for rest := text; len(rest) > 0; {
			if len(rest) < end || string(rest[:len(magic)]) != magic {
				return 0, fmt.Errorf("%s is not what this package takes it for", path)
			}
			size := end + int(binary.LittleEndian.Uint32(rest[sizeAt:]))
			object := rest[:size]
			if !bytes.Equal(sumOf(object), object[sumAt:end]) {
				return 0, fmt.Errorf("%s is not what this package takes it for", path)
			}
			if object[len(magic)] == 'r' {
				lists++
				at := int64(binary.LittleEndian.Uint64(object[writtenAt:])) + int64(by)
				binary.LittleEndian.PutUint64(object[writtenAt:], uint64(at))
				copy(object[sumAt:], sumOf(object))
			}
			rest = rest[size:]
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return 0, err
		}
	}
	return lists, nil
}

func sumOf(object []byte) []byte {
	h := sha256.New()
	h.Write(object[:usedAt])
	h.Write(object[writtenAt:sumAt])
	h.Write(object[end:])
	return h.Sum(nil)[:end-sumAt]
}
