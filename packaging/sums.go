package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// finish writes something that is made, and its bill of materials beside it.
func (r *release) finish(name string, content []byte, of ...target) error {
	bill, err := r.bill(name, content, of)
	if err != nil {
		return fmt.Errorf("bill of materials: %w", err)
	}
	if err := r.write(name, content); err != nil {
		return err
	}
	return r.write(name+".spdx.json", bill)
}

func (r *release) write(name string, content []byte) error {
	r.made = append(r.made, name)
	return writeFile(filepath.Join(r.out, name), content)
}

// writeSums writes the checksums of all that was made, as sha256sum -c reads them.
func (r *release) writeSums() error {
	slices.Sort(r.made)
	var sums strings.Builder
	for _, name := range r.made {
		content, err := os.ReadFile(filepath.Join(r.out, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%s  %s\n", sum(content), name)
	}
	return writeFile(filepath.Join(r.out, "SHA256SUMS"), []byte(sums.String()))
}

func sum(content []byte) string {
	digest := sha256.Sum256(content)
	return hex.EncodeToString(digest[:])
}
