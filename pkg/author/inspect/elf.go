package inspect

import (
	"encoding/binary"
	"errors"
	"io"
)

// Bounds on what is read of a program. Real ones stay far below.
const (
	maxSegments  = 64
	maxDynamic   = 4096 // entries
	maxNeeded    = 1024 // libraries, and versions of each
	maxName      = 256
	maxNotes     = 64 << 10
	maxBuildInfo = 64 << 10
)

// Numbers of the ELF format and of GNU's additions to it.
const (
	typeProgram, typeShared = 2, 3

	segmentLoad, segmentDynamic, segmentInterpreter, segmentNote, segmentProperty = 1, 2, 3, 4, 0x6474e553

	tagNeeded, tagStrings, tagSoname         = 1, 5, 14
	tagVersionsNeeded, tagVersionsNeededHave = 0x6ffffffe, 0x6fffffff

	noteProperties     = 5          // NT_GNU_PROPERTY_TYPE_0
	propertyISA1Needed = 0xc0008002 // GNU_PROPERTY_X86_ISA_1_NEEDED
)

// errNotELF is a file that is not a program or a library.
var errNotELF = errors.New("no ELF file")

// Program is what a program or library says of what it needs.
type Program struct {
	Path string `json:"path"`
	// Arch is the architecture as Go names it, or empty.
	Arch        string   `json:"arch,omitempty"`
	Interpreter string   `json:"interpreter,omitempty"`
	Soname      string   `json:"soname,omitempty"`
	Needed      []string `json:"needed,omitempty"`
	// GlibC is the newest version of the GNU C library whose symbols are used.
	GlibC string `json:"glibc,omitempty"`
	// Level is the x86-64 level that the linker or the Go compiler has noted
	// down; 0 where none did.
	Level int `json:"level,omitempty"`
}

type segment struct {
	kind                  uint32
	offset, address, size uint64
}

// elfReader reads a file by its program headers, as the kernel and the loader
// do; a file may have no section headers.
type elfReader struct {
	file     io.ReaderAt
	order    binary.ByteOrder
	wide     bool // 64 bits
	machine  uint16
	segments []segment
	strings  uint64 // address of the string table
}

// ReadProgram reads an ELF file. The error is errNotELF for anything else.
// What is damaged is left out.
func ReadProgram(path string, file io.ReaderAt) (*Program, error) {
	e, err := openELF(file)
	if err != nil {
		return nil, err
	}
	p := &Program{Path: path, Arch: e.arch()}
	for _, s := range e.segments {
		switch s.kind {
		case segmentInterpreter:
			p.Interpreter = e.text(s.offset)
		case segmentDynamic:
			e.dynamic(p, s)
		case segmentNote, segmentProperty:
			if p.Arch == "amd64" {
				p.Level = max(p.Level, e.propertyLevel(s))
			}
		case segmentLoad:
			if p.Arch == "amd64" {
				p.Level = max(p.Level, e.goLevel(s))
			}
		}
	}
	return p, nil
}

func openELF(file io.ReaderAt) (*elfReader, error) {
	head := make([]byte, 64)
	n, err := file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if n < 52 || string(head[:4]) != "\x7fELF" || head[4] < 1 || head[4] > 2 || head[5] < 1 || head[5] > 2 || head[4] == 2 && n < 64 {
		return nil, errNotELF
	}
	e := &elfReader{file: file, order: binary.LittleEndian, wide: head[4] == 2}
	if head[5] == 2 {
		e.order = binary.BigEndian
	}
	if kind := e.order.Uint16(head[16:]); kind != typeProgram && kind != typeShared {
		return nil, errNotELF // an object file or a memory dump
	}
	e.machine = e.order.Uint16(head[18:])
	var offset uint64
	var size, count uint16
	if e.wide {
		offset, size, count = e.order.Uint64(head[32:]), e.order.Uint16(head[54:]), e.order.Uint16(head[56:])
	} else {
		offset, size, count = uint64(e.order.Uint32(head[28:])), e.order.Uint16(head[42:]), e.order.Uint16(head[44:])
	}
	for i := range min(uint64(count), maxSegments) {
		entry := e.bytes(offset+i*uint64(size), uint64(size))
		if s, ok := e.segment(entry); ok {
			e.segments = append(e.segments, s)
		}
	}
	return e, nil
}

func (e *elfReader) segment(b []byte) (segment, bool) {
	switch {
	case e.wide && len(b) >= 56:
		return segment{e.order.Uint32(b), e.order.Uint64(b[8:]), e.order.Uint64(b[16:]), e.order.Uint64(b[32:])}, true
	case !e.wide && len(b) >= 32:
		return segment{
			e.order.Uint32(b), uint64(e.order.Uint32(b[4:])), uint64(e.order.Uint32(b[8:])), uint64(e.order.Uint32(b[16:])),
		}, true
	default:
		return segment{}, false
	}
}

// bytes reads up to size bytes, fewer where the file ends.
func (e *elfReader) bytes(offset, size uint64) []byte {
	const limit = 1 << 40
	if offset > limit || size > maxBuildInfo {
		return nil
	}
	b := make([]byte, size)
	n, err := e.file.ReadAt(b, int64(offset))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil
	}
	return b[:n]
}

// text reads a string that ends with a zero byte.
func (e *elfReader) text(offset uint64) string {
	b := e.bytes(offset, maxName)
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return ""
}

// offsetOf is where in the file an address of the memory comes from.
func (e *elfReader) offsetOf(address uint64) (uint64, bool) {
	for _, s := range e.segments {
		if s.kind == segmentLoad && address >= s.address && address-s.address < s.size {
			return s.offset + (address - s.address), true
		}
	}
	return 0, false
}

func (e *elfReader) arch() string {
	names := map[uint16]string{3: "386", 62: "amd64", 40: "arm", 183: "arm64", 22: "s390x", 243: "riscv64", 258: "loong64"}
	if e.machine == 21 && e.order == binary.LittleEndian {
		return "ppc64le"
	}
	return names[e.machine]
}
