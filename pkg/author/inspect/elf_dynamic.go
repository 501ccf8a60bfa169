package inspect

import (
	"bytes"
	"debug/elf"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/pkg/version"
)

// dynamic reads what the loader reads: the libraries that are needed, and the
// versions of their symbols.
func (e *elfReader) dynamic(p *Program, s segment) {
	var needed []uint64
	const dtVerdef, dtVerdefNum = 0x6ffffffc, 0x6ffffffd
	var soname, versions, count, defined, definedCount uint64
	var hasSoname bool
	for tag, value := range e.dynamicEntries(s) {
		switch tag {
		case uint64(elf.DT_NEEDED):
			if len(needed) < maxNeeded {
				needed = append(needed, value)
			}
		case uint64(elf.DT_STRTAB):
			e.strings = value
		case uint64(elf.DT_SONAME):
			soname, hasSoname = value, true
		case dtVerdef:
			defined = value
		case dtVerdefNum:
			definedCount = value
		case uint64(elf.DT_VERNEED):
			versions = value
		case uint64(elf.DT_VERNEEDNUM):
			count = value
		}
	}
	table, ok := e.offsetOf(e.strings)
	if !ok {
		return
	}
	for _, at := range needed {
		if name := e.text(table + at); name != "" {
			p.Needed = append(p.Needed, name)
		}
	}
	if hasSoname {
		p.Soname = e.text(table + soname)
	}
	if at, ok := e.offsetOf(versions); ok {
		e.versions(p, at, table, min(count, maxNeeded))
	}
	if at, ok := e.offsetOf(defined); ok && p.Soname == "libc.so.6" {
		e.defined(p, at, table, min(definedCount, maxNeeded))
	}
}

// defined reads the newest version that the GNU C library has (verdef).
func (e *elfReader) defined(p *Program, at, table, count uint64) {
	for range count {
		b := e.bytes(at, 20)
		if len(b) < 20 {
			return
		}
		aux, next := e.bytes(at+uint64(e.order.Uint32(b[12:])), 4), uint64(e.order.Uint32(b[16:]))
		if len(aux) < 4 {
			return
		}
		if number, ok := glibcVersion(e.text(table + uint64(e.order.Uint32(aux)))); ok {
			p.HasGlibC = newer(p.HasGlibC, number)
		}
		if next == 0 {
			return
		}
		at += next
	}
}

// glibcVersion takes the number from the name of a version, and refuses
// GLIBC_PRIVATE and the like.
func glibcVersion(name string) (string, bool) {
	number, ok := strings.CutPrefix(name, "GLIBC_")
	v, isVersion := version.Parse(number)
	return number, ok && isVersion && v.String() == number
}

func (e *elfReader) dynamicEntries(s segment) func(yield func(tag, value uint64) bool) {
	width := uint64(4)
	if e.wide {
		width = 8
	}
	return func(yield func(tag, value uint64) bool) {
		for i := range min(s.size/(2*width), maxDynamic) {
			b := e.bytes(s.offset+i*2*width, 2*width)
			if uint64(len(b)) < 2*width {
				return
			}
			tag, value := e.word(b), e.word(b[width:])
			if tag == 0 || !yield(tag, value) {
				return
			}
		}
	}
}

func (e *elfReader) word(b []byte) uint64 {
	if e.wide {
		return e.order.Uint64(b)
	}
	return uint64(e.order.Uint32(b))
}

// versions reads the table of the versions that symbols need (verneed), of
// which those of the GNU C library matter.
func (e *elfReader) versions(p *Program, at, table, count uint64) {
	left := maxNeeded
	for range count {
		b := e.bytes(at, 16)
		if len(b) < 16 {
			return
		}
		aux := at + uint64(e.order.Uint32(b[8:]))
		for range e.order.Uint16(b[2:]) {
			entry := e.bytes(aux, 16)
			if len(entry) < 16 || left == 0 {
				return
			}
			left--
			if number, ok := glibcVersion(e.text(table + uint64(e.order.Uint32(entry[8:])))); ok {
				p.GlibC = newer(p.GlibC, number)
			}
			next := uint64(e.order.Uint32(entry[12:]))
			if next == 0 {
				break
			}
			aux += next
		}
		next := uint64(e.order.Uint32(b[12:]))
		if next == 0 {
			return
		}
		at += next
	}
}

// newer returns the newer of two versions; none is older than any.
func newer(a, b string) string {
	if c, ok := version.Compare(a, b); a == "" || ok && c < 0 {
		return b
	}
	return a
}

// propertyLevel reads the x86-64 level out of the notes that GNU's linker
// writes (GNU_PROPERTY_X86_ISA_1_NEEDED).
func (e *elfReader) propertyLevel(s segment) int {
	notes := e.bytes(s.offset, min(s.size, maxNotes))
	for len(notes) >= 16 {
		nameSize, size, kind := uint64(e.order.Uint32(notes)), uint64(e.order.Uint32(notes[4:])), e.order.Uint32(notes[8:])
		start := 12 + align(nameSize, 4)
		end := start + align(size, e.alignment())
		if nameSize > maxNotes || size > maxNotes || start+size > uint64(len(notes)) {
			return 0
		}
		if kind == noteProperties && bytes.HasPrefix(notes[12:], []byte("GNU\x00")) {
			if level := e.isaLevel(notes[start : start+size]); level > 0 {
				return level
			}
		}
		notes = notes[min(end, uint64(len(notes))):]
	}
	return 0
}

func (e *elfReader) isaLevel(properties []byte) int {
	for len(properties) >= 8 {
		kind, size := e.order.Uint32(properties), uint64(e.order.Uint32(properties[4:]))
		if 8+size > uint64(len(properties)) {
			return 0
		}
		if kind == propertyISA1Needed && size >= 4 {
			bits := e.order.Uint32(properties[8:])
			for level := 4; level >= 1; level-- {
				if bits>>(level-1)&1 == 1 {
					return level
				}
			}
			return 0
		}
		properties = properties[min(8+align(size, e.alignment()), uint64(len(properties))):]
	}
	return 0
}

func (e *elfReader) alignment() uint64 {
	if e.wide {
		return 8
	}
	return 4
}

func align(n, to uint64) uint64 { return (n + to - 1) / to * to }

// goLevel reads GOAMD64 out of what the Go compiler notes down at the start of
// a program's data, and reports a program of Go.
func (e *elfReader) goLevel(s segment) (level int, isGo bool) {
	head := e.bytes(s.offset, min(s.size, maxBuildInfo))
	at := bytes.Index(head, []byte("\xff Go buildinf:"))
	if at < 0 {
		return 0, false
	}
	info := e.bytes(s.offset+uint64(at), maxBuildInfo)
	_, rest, ok := bytes.Cut(info, []byte("\tGOAMD64=v"))
	if !ok || len(rest) == 0 {
		return 0, true
	}
	level, err := strconv.Atoi(string(rest[:1]))
	if err != nil || level > 4 {
		return 0, true
	}
	return level, true
}
