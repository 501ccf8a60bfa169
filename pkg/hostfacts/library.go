package hostfacts

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/pkg/facts"
)

const (
	// maxLibraryScan bounds how much of a library is searched; the C library
	// has two megabytes.
	maxLibraryScan = 16 << 20
	// libcBanner is what glibc prints when it is run:
	//
	//	GNU C Library (Debian GLIBC 2.36-9+deb12u10) stable release version 2.36.
	libcBanner    = "GNU C Library "
	maxLibCBanner = 256
)

// collectLibC finds the C library that the node's own programs run on. The library
// is not run; its version is in its data.
func collectLibC(h host, out *facts.Features) error {
	for _, name := range glibcPaths(h.arch) {
		exists, err := h.root.Exists(name)
		if err != nil {
			return err
		}
		if exists {
			version, err := glibcVersion(h.root, name)
			out.Attributes["system.libc"] = map[string]string{"implementation": "glibc"}
			setElement(out, "system.libc", "version", version, err)
			return nil
		}
	}
	found, err := findMusl(h)
	if err != nil {
		return err
	}
	if !found {
		return errors.New("no C library in the usual places, such as " + h.root.Path("usr/lib64/libc.so.6"))
	}
	out.Attributes["system.libc"] = map[string]string{"implementation": "musl"}
	version, err := muslVersion(h.root)
	setElement(out, "system.libc", "version", version, err)
	return nil
}

// glibcPaths returns where distributions have the C library of an
// architecture; of all of them when it is not known.
func glibcPaths(arch string) []string {
	triplets := map[string]string{
		"amd64": "x86_64-linux-gnu", "386": "i386-linux-gnu", "arm64": "aarch64-linux-gnu", "arm": "arm-linux-gnueabihf",
		"ppc64le": "powerpc64le-linux-gnu", "s390x": "s390x-linux-gnu", "riscv64": "riscv64-linux-gnu",
	}
	order := []string{"amd64", "arm64", "ppc64le", "s390x", "riscv64", "arm", "386"}
	if triplets[arch] != "" {
		order = []string{arch}
	}
	var paths []string
	for _, dir := range []string{"usr/lib/", "lib/"} {
		for _, name := range order {
			paths = append(paths, dir+triplets[name]+"/libc.so.6")
		}
	}
	return append(paths, "usr/lib64/libc.so.6", "lib64/libc.so.6", "usr/lib64/lp64d/libc.so.6",
		"usr/lib/libc.so.6", "lib/libc.so.6", "lib/tls/libc.so.6")
}

func glibcVersion(root Root, name string) (string, error) {
	f, err := root.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	version, err := findLibCBanner(constantData(f))
	if err != nil {
		return "", root.pathError("read", name, err)
	}
	return version, nil
}

// findLibCBanner searches for glibc's banner, a piece at a time.
func findLibCBanner(r io.Reader) (string, error) {
	buffer := make([]byte, 64<<10)
	kept := 0
	for {
		n, err := io.ReadFull(r, buffer[kept:])
		window := buffer[:kept+n]
		if at := bytes.Index(window, []byte(libcBanner)); at >= 0 && (err != nil || len(window)-at >= maxLibCBanner) {
			return parseLibCBanner(window[at:min(at+maxLibCBanner, len(window))])
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return "", errors.New("no version of the C library found")
		}
		if err != nil {
			return "", err
		}
		kept = copy(buffer, window[len(window)-maxLibCBanner:])
	}
}

func parseLibCBanner(banner []byte) (string, error) {
	_, rest, ok := strings.Cut(string(banner), "release version ")
	version := strings.TrimRight(rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789."))], ".")
	if !ok || !isDottedNumber(version) {
		return "", fmt.Errorf("the C library's banner %.80q has no version", banner)
	}
	return version, nil
}

// RedactLibrary returns a library with zeros for all that is not read of it: it
// keeps the header and the banner with the version of the C library.
func RedactLibrary(data []byte) []byte {
	kept := make([]byte, len(data))
	copy(kept, data[:min(elfHeaderSize, len(data))])
	if at := bytes.Index(data, []byte(libcBanner)); at >= 0 {
		copy(kept[at:], data[at:min(at+maxLibCBanner, len(data))])
	}
	return kept
}

// findMusl looks for musl's dynamic loader.
func findMusl(h host) (bool, error) {
	names, err := h.root.ReadDir("lib")
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	isLoader := func(name string) bool { return strings.HasPrefix(name, "ld-musl-") }
	return slices.ContainsFunc(names, isLoader), err
}

// muslVersion reads Alpine's package database, since musl does not name its
// version in a way that can be distinguished from other text.
func muslVersion(root Root) (string, error) {
	const database = "lib/apk/db/installed"
	data, err := root.ReadHead(database, maxFileSize)
	if err != nil {
		return "", err
	}
	if version := parseAPKVersion(data, "musl"); version != "" {
		return version, nil
	}
	return "", root.pathError("read", database, errors.New("no package musl found"))
}

// parseAPKVersion returns the version of a package without its revision, as in
// 1.2.5 for 1.2.5-r9.
func parseAPKVersion(data []byte, name string) string {
	current := ""
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "P:"); ok {
			current = rest
		}
		if rest, ok := strings.CutPrefix(line, "V:"); ok && current == name {
			version, _, _ := strings.Cut(rest, "-")
			return version
		}
	}
	return ""
}
