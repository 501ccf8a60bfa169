package inspect

import (
	"debug/elf"
	"encoding/binary"
	"io"
	"slices"

	"github.com/imagefit/imagefit/pkg/author/isa"
)

// Bounds on what is read for the code of a program.
const (
	maxCodeSize = 1 << 30 // with symbols, relocations and frames
	maxSections = 4096
	maxSymbols  = 4 << 20
)

// Kinds of relocations, on x86-64 and on 64-bit Arm.
type relocationKinds struct{ slot, data, relative, resolver uint32 }

func relocationsOf(m elf.Machine) relocationKinds {
	if m == elf.EM_AARCH64 {
		return relocationKinds{uint32(elf.R_AARCH64_JUMP_SLOT), uint32(elf.R_AARCH64_GLOB_DAT), uint32(elf.R_AARCH64_RELATIVE), uint32(elf.R_AARCH64_IRELATIVE)}
	}
	return relocationKinds{uint32(elf.R_X86_64_JMP_SLOT), uint32(elf.R_X86_64_GLOB_DAT), uint32(elf.R_X86_64_RELATIVE), uint32(elf.R_X86_64_IRELATIVE)}
}

type section struct {
	name                        string
	kind                        elf.SectionType
	flags                       elf.SectionFlag
	address, offset, size, link uint64
}

// span is a range of addresses.
type span struct{ from, size uint64 }

func (s span) has(address uint64) bool { return address >= s.from && address-s.from < s.size }

// codeReader collects what the analysis of the code needs.
type codeReader struct {
	*elfReader
	left      uint64 // bytes that may still be read
	program   isa.Program
	variables []span
	begins    []span // lists of functions that run when the program begins and ends
}

// uses returns the extensions that the code uses. Programs of Go look at the CPU
// where they begin, and keep what they find in package internal/cpu.
func (e *elfReader) uses(p *Program, isGo bool) []isa.Use {
	arch := p.Arch
	if !isa.Knows(arch) || !e.wide || e.order != binary.LittleEndian {
		return nil
	}
	c := &codeReader{elfReader: e, left: maxCodeSize, program: isa.Program{
		Arch: arch, Library: p.Library, Dispatches: isGo, Imports: map[uint64]string{}, Names: map[uint64]string{},
	}}
	c.program.IsVariable = func(address uint64) bool {
		return slices.ContainsFunc(c.variables, func(s span) bool { return s.has(address) })
	}
	c.program.Entry = e.order.Uint64(e.head[24:])
	for _, s := range e.segments {
		if s.kind == elf.PT_DYNAMIC {
			for tag, value := range e.dynamicEntries(s) {
				if tag == uint64(elf.DT_INIT) || tag == uint64(elf.DT_FINI) {
					c.program.Roots = append(c.program.Roots, value)
				}
			}
		}
	}
	c.text()
	for _, s := range c.sections {
		switch s.kind {
		case elf.SHT_SYMTAB, elf.SHT_DYNSYM:
			c.symbols(s)
		case elf.SHT_INIT_ARRAY, elf.SHT_FINI_ARRAY, elf.SHT_PREINIT_ARRAY:
			c.begins = append(c.begins, span{s.address, s.size})
			for table := c.large(s.offset, s.size); len(table) >= 8; table = table[8:] {
				c.program.Roots = append(c.program.Roots, e.order.Uint64(table))
			}
		}
	}
	for _, s := range c.sections {
		switch {
		case s.kind == elf.SHT_RELA && s.flags&elf.SHF_ALLOC != 0: //nolint:misspell // the ELF format has RELA
			c.relocations(s)
		case s.name == ".eh_frame" && s.kind != elf.SHT_NOBITS:
			c.frames(s)
		}
	}
	return isa.Analyze(c.program)
}

// isLibrary reports a file that other programs load: it has a dynamic section and
// no loader of its own, and is not one that the kernel can start without (PIE).
func (e *elfReader) isLibrary() bool {
	const flags1, pie = 0x6ffffffb, 0x08000000 // DT_FLAGS_1, DF_1_PIE
	for _, s := range e.segments {
		if s.kind != elf.PT_DYNAMIC {
			continue
		}
		for tag, value := range e.dynamicEntries(s) {
			if tag == flags1 && value&pie != 0 {
				return false
			}
		}
		return true
	}
	return false
}

// readSections reads the section headers, which the kernel and the loader do not
// need, but almost all files have.
func (e *elfReader) readSections() {
	if !e.wide {
		return
	}
	offset := e.order.Uint64(e.head[40:])
	size, count, names := uint64(e.order.Uint16(e.head[58:])), min(e.order.Uint16(e.head[60:]), maxSections), int(e.order.Uint16(e.head[62:]))
	if size < 64 {
		return
	}
	var nameAt []uint64
	for i := range uint64(count) {
		b := e.bytes(offset+i*size, 64)
		if len(b) < 64 {
			break
		}
		nameAt = append(nameAt, uint64(e.order.Uint32(b)))
		e.sections = append(e.sections, section{
			"", elf.SectionType(e.order.Uint32(b[4:])), elf.SectionFlag(e.order.Uint64(b[8:])),
			e.order.Uint64(b[16:]), e.order.Uint64(b[24:]), e.order.Uint64(b[32:]), uint64(e.order.Uint32(b[40:])),
		})
	}
	if names < len(e.sections) {
		texts := e.bytes(e.sections[names].offset, min(e.sections[names].size, maxBuildInfo))
		for i := range e.sections {
			e.sections[i].name = textAt(texts, nameAt[i])
		}
	}
}

// text reads the code: of the sections that hold it, or else of the segments, in
// which older linkers put data as well.
func (c *codeReader) text() {
	const code = elf.SHF_ALLOC | elf.SHF_EXECINSTR
	add := func(address, offset, size uint64) {
		if body := c.large(offset, size); len(body) > 0 {
			c.program.Text = append(c.program.Text, isa.Region{Address: address, Code: body})
		}
	}
	for _, s := range c.sections {
		if s.kind == elf.SHT_PROGBITS && s.flags&code == code {
			add(s.address, s.offset, s.size)
		}
	}
	for _, s := range c.segments {
		switch {
		case s.kind != elf.PT_LOAD:
		case s.flags&elf.PF_W != 0:
			c.variables = append(c.variables, span{s.address, s.memory})
		case s.flags&elf.PF_X != 0 && len(c.sections) == 0:
			add(s.address, s.offset, s.size)
		}
	}
}

// symbols reads a table of symbols: where functions begin, and which of them
// others call.
func (c *codeReader) symbols(s section) {
	const ifunc = 10 // STT_GNU_IFUNC
	if s.link >= uint64(len(c.sections)) {
		return
	}
	texts := c.sections[s.link]
	names := c.large(texts.offset, texts.size)
	table := c.large(s.offset, s.size)
	for ; len(table) >= 24 && len(c.program.Names) < maxSymbols; table = table[24:] {
		kind, defined, value := table[4]&15, c.order.Uint16(table[6:]) != 0, c.order.Uint64(table[8:])
		if !defined || value == 0 || kind != byte(elf.STT_FUNC) && kind != ifunc {
			continue
		}
		name := textAt(names, uint64(c.order.Uint32(table)))
		c.program.Names[value] = name
		c.program.Starts = append(c.program.Starts, value)
		switch {
		case kind == ifunc:
			c.program.Resolvers = append(c.program.Resolvers, value)
		case s.kind == elf.SHT_DYNSYM:
			c.program.Exports = append(c.program.Exports, value)
		}
	}
}

// textAt returns the text that begins at a place and ends with a zero byte.
func textAt(texts []byte, at uint64) string {
	if at >= uint64(len(texts)) {
		return ""
	}
	texts = texts[at:min(uint64(len(texts)), at+maxName)]
	if end := slices.Index(texts, 0); end >= 0 {
		texts = texts[:end]
	}
	return string(texts)
}

// relocations reads what the loader fills in: the imported functions, and the
// resolvers that choose between functions.
func (c *codeReader) relocations(s section) {
	kinds := relocationsOf(c.machine)
	var symbols, names []byte
	if s.link < uint64(len(c.sections)) && s.link > 0 {
		table := c.sections[s.link]
		symbols = c.large(table.offset, table.size)
		if table.link < uint64(len(c.sections)) {
			names = c.large(c.sections[table.link].offset, c.sections[table.link].size)
		}
	}
	for table := c.large(s.offset, s.size); len(table) >= 24; table = table[24:] {
		at, info, addend := c.order.Uint64(table), c.order.Uint64(table[8:]), c.order.Uint64(table[16:])
		switch uint32(info) {
		case kinds.slot, kinds.data:
			if symbol := info >> 32 * 24; symbol+24 <= uint64(len(symbols)) && len(c.program.Imports) < maxSymbols {
				c.program.Imports[at] = textAt(names, uint64(c.order.Uint32(symbols[symbol:])))
			}
		case kinds.resolver:
			c.program.Resolvers = append(c.program.Resolvers, addend)
		case kinds.relative:
			if slices.ContainsFunc(c.begins, func(b span) bool { return b.has(at) }) {
				c.program.Roots = append(c.program.Roots, addend)
			}
		}
	}
}

// large reads up to size bytes, fewer where the file ends, or where all that is read
// of it for its code is more than maxCodeSize.
func (c *codeReader) large(offset, size uint64) []byte {
	const limit = 1 << 40
	if offset > limit {
		return nil
	}
	all, err := io.ReadAll(io.NewSectionReader(c.file, int64(offset), int64(min(size, c.left))))
	if err != nil {
		return nil
	}
	c.left -= uint64(len(all))
	return all
}
