package containerd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
)

// OwnVerifier is the name under which imagefit is an image verifier. It checks what an
// image needs and no signature, so a variant is as good as the index for it.
const OwnVerifier = "imagefit-verify"

// maxEntries bounds what is read of the directory of verifiers.
const maxEntries = 1000

// Verifiers are the image verifiers that containerd runs at a pull through CRI, by the
// names of their programs. They get the digest that is pulled, so that of a variant, for
// which there is no signature where only the index is signed. Like containerd, it reads
// the directory at each call.
func (s Settings) Verifiers() ([]string, error) {
	if !s.IsContainerd() || s.VerifierDir == "" || !s.usesTransferService() {
		return nil, nil
	}
	dir, err := os.Open(s.VerifierDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list image verifiers: %w", err)
	}
	defer dir.Close()
	entries, err := dir.ReadDir(maxEntries)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("list image verifiers: %w", err)
	}
	names := make([]string, 0, len(entries))
	for _, entry := range entries { // of any kind: containerd tries to run whatever is there
		names = append(names, entry.Name())
	}
	slices.Sort(names)
	if s.MaxVerifiers >= 0 && len(names) > s.MaxVerifiers {
		names = names[:s.MaxVerifiers]
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == OwnVerifier }), nil
}
