package hostfacts

import (
	"encoding/binary"
	"io"
)

// The layout of a 64-bit ELF file, as far as constantData reads it.
const (
	elfHeaderSize  = 64
	elfSectionSize = 64
	maxELFSections = 256
	maxELFOffset   = 1 << 32

	elfProgBits                            = 1
	elfWrite, elfAlloc, elfExec, elfZipped = 0x1, 0x2, 0x4, 0x800
)

// constantData returns the constants of a program or library, which its texts are
// part of; or the start of the file, when it is not a 64-bit ELF file with
// sections. The package debug/elf is not used, because it unpacks compressed
// sections to whatever size they have.
func constantData(f io.ReaderAt) io.Reader {
	var readers []io.Reader
	for _, section := range elfConstants(f) {
		readers = append(readers, section)
	}
	if len(readers) == 0 {
		readers = append(readers, io.NewSectionReader(f, 0, maxLibraryScan))
	}
	return io.LimitReader(io.MultiReader(readers...), maxLibraryScan)
}

func elfConstants(f io.ReaderAt) []*io.SectionReader {
	header := make([]byte, elfHeaderSize)
	if _, err := f.ReadAt(header, 0); err != nil || string(header[:5]) != "\x7fELF\x02" {
		return nil
	}
	var order binary.ByteOrder = binary.LittleEndian
	if header[5] == 2 {
		order = binary.BigEndian
	}
	offset, count := order.Uint64(header[40:]), int(order.Uint16(header[60:]))
	if order.Uint16(header[58:]) != elfSectionSize || count > maxELFSections || offset > maxELFOffset {
		return nil
	}
	table := make([]byte, count*elfSectionSize)
	if _, err := f.ReadAt(table, int64(offset)); err != nil {
		return nil
	}
	var constants []*io.SectionReader
	for ; len(table) > 0; table = table[elfSectionSize:] {
		kind, flags := order.Uint32(table[4:]), order.Uint64(table[8:])
		offset, size := order.Uint64(table[24:]), order.Uint64(table[32:])
		isConstant := kind == elfProgBits && flags&(elfWrite|elfAlloc|elfExec|elfZipped) == elfAlloc
		if isConstant && offset <= maxELFOffset && size <= maxLibraryScan {
			constants = append(constants, io.NewSectionReader(f, int64(offset), int64(size)))
		}
	}
	return constants
}
