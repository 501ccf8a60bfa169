package inspect

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"

	"github.com/imagefit/imagefit/pkg/author/isa"
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

// Numbers of GNU's additions to the ELF format that debug/elf does not have.
const (
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
	// HasGlibC is the newest version that this C library has.
	HasGlibC string `json:"has_glibc,omitempty"`
	// Library says that programs load it.
	Library bool `json:"library,omitempty"`
	// CUDA is code for NVIDIA's GPUs, nil where there is none.
	CUDA *GPUCode `json:"cuda,omitempty"`
	// Level is the x86-64 level that the linker or the Go compiler has noted
	// down; 0 where none did.
	Level int `json:"level,omitempty"`
	// Uses are the extensions of the instruction set that its code uses.
	Uses []isa.Use `json:"uses,omitempty"`
}

type segment struct {
	kind                          elf.ProgType
	flags                         elf.ProgFlag
	offset, address, size, memory uint64
}

// elfReader reads a file by its program headers, as the kernel and the loader
// do; a file may have no section headers.
type elfReader struct {
	file     io.ReaderAt
	head     []byte
	order    binary.ByteOrder
	wide     bool // 64 bits
	machine  elf.Machine
	segments []segment
	sections []section
	strings  uint64 // address of the string table
}

// ReadProgram reads an ELF file. The error is errNotELF for anything else.
// What is damaged is left out.
func ReadProgram(path string, file io.ReaderAt) (*Program, error) {
	e, err := openELF(file)
	if err != nil {
		return nil, err
	}
	p := &Program{Path: path, Arch: map[elf.Machine]string{
		elf.EM_386: "386", elf.EM_X86_64: "amd64", elf.EM_ARM: "arm", elf.EM_AARCH64: "arm64",
		elf.EM_S390: "s390x", elf.EM_RISCV: "riscv64", elf.EM_LOONGARCH: "loong64",
	}[e.machine]}
	if e.machine == elf.EM_PPC64 && e.order == binary.LittleEndian {
		p.Arch = "ppc64le"
	}
	isGo := false
	for _, s := range e.segments {
		switch s.kind {
		case elf.PT_INTERP:
			p.Interpreter = e.text(s.offset)
		case elf.PT_DYNAMIC:
			e.dynamic(p, s)
		case elf.PT_NOTE, elf.PT_GNU_PROPERTY:
			if p.Arch == "amd64" {
				p.Level = max(p.Level, e.propertyLevel(s))
			}
		case elf.PT_LOAD:
			level, ok := e.goLevel(s)
			isGo = isGo || ok
			if p.Arch == "amd64" {
				p.Level = max(p.Level, level)
			}
		}
	}
	p.Library = p.Interpreter == "" && e.isLibrary() || p.Soname != ""
	e.readSections()
	p.CUDA = e.gpuCode()
	p.Uses = e.uses(p, isGo)
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
	e := &elfReader{file: file, order: binary.LittleEndian, head: head, wide: head[4] == 2}
	if head[5] == 2 {
		e.order = binary.BigEndian
	}
	if kind := elf.Type(e.order.Uint16(head[16:])); kind != elf.ET_EXEC && kind != elf.ET_DYN {
		return nil, errNotELF // an object file or a memory dump
	}
	e.machine = elf.Machine(e.order.Uint16(head[18:]))
	var offset uint64
	var size, count uint16
	if e.wide {
		offset, size, count = e.order.Uint64(head[32:]), e.order.Uint16(head[54:]), e.order.Uint16(head[56:])
	} else {
		offset, size, count = uint64(e.order.Uint32(head[28:])), e.order.Uint16(head[42:]), e.order.Uint16(head[44:])
	}
	for i := range min(uint64(count), maxSegments) {
		b := e.bytes(offset+i*uint64(size), uint64(size))
		switch {
		case e.wide && len(b) >= 56:
			e.segments = append(e.segments, segment{
				elf.ProgType(e.order.Uint32(b)), elf.ProgFlag(e.order.Uint32(b[4:])),
				e.order.Uint64(b[8:]), e.order.Uint64(b[16:]), e.order.Uint64(b[32:]), e.order.Uint64(b[40:]),
			})
		case !e.wide && len(b) >= 32:
			e.segments = append(e.segments, segment{
				elf.ProgType(e.order.Uint32(b)), elf.ProgFlag(e.order.Uint32(b[24:])),
				e.word(b[4:]), e.word(b[8:]), e.word(b[16:]), e.word(b[20:]),
			})
		}
	}
	return e, nil
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
	name, _, ok := bytes.Cut(e.bytes(offset, maxName), []byte{0})
	if !ok {
		return ""
	}
	return string(name)
}

// offsetOf is where in the file an address of the memory comes from.
func (e *elfReader) offsetOf(address uint64) (uint64, bool) {
	for _, s := range e.segments {
		if s.kind == elf.PT_LOAD && address >= s.address && address-s.address < s.size {
			return s.offset + (address - s.address), true
		}
	}
	return 0, false
}
