package inspect

import (
	"encoding/binary"
	"slices"
)

// Encodings of pointers in call frames (DW_EH_PE).
const (
	pointerAbsolute = 0x00
	pointerUnsigned = 0x03 // of 4 bytes
	pointerSigned   = 0x0b
	pointerRelative = 0x10 // to where it stands
)

// frames reads where functions begin from their call frames (.eh_frame), which
// stay in a program without symbols.
func (c *codeReader) frames(s section) {
	f := frameReader{c.large(s.offset, s.size), s.address, c.order, map[uint64]byte{}}
	for at := uint64(0); at+8 <= uint64(len(f.body)) && len(c.program.Starts) < maxSymbols; {
		size := uint64(f.order.Uint32(f.body[at:]))
		if size == 0 || size >= 0xfffffff0 || at+4+size > uint64(len(f.body)) {
			return
		}
		entry := f.body[at+4 : at+4+size]
		if len(entry) < 4 {
			return
		}
		if id := uint64(f.order.Uint32(entry)); id == 0 {
			f.encodings[at] = encodingOf(entry[4:])
		} else if begin, ok := f.begin(at+4-id, at+8); ok {
			c.program.Starts = append(c.program.Starts, begin)
		}
		at += 4 + size
	}
}

// frameReader reads call frames.
type frameReader struct {
	body      []byte
	address   uint64
	order     binary.ByteOrder
	encodings map[uint64]byte // of pointers, by the place of what several frames share
}

// begin reads the pointer at a place, encoded as the shared part says.
func (f frameReader) begin(shared, at uint64) (uint64, bool) {
	encoding, ok := f.encodings[shared]
	if !ok || at+8 > uint64(len(f.body)) {
		return 0, false
	}
	var value uint64
	switch encoding & 0x0f {
	case pointerAbsolute, 0x04, 0x0c:
		value = f.order.Uint64(f.body[at:])
	case pointerUnsigned:
		value = uint64(f.order.Uint32(f.body[at:]))
	case pointerSigned:
		value = uint64(int64(int32(f.order.Uint32(f.body[at:]))))
	default:
		return 0, false
	}
	if encoding&0x70 == pointerRelative {
		value += f.address + at
	}
	return value, value != 0
}

// encodingOf reads how a shared part (CIE) says that pointers are encoded.
func encodingOf(cie []byte) byte {
	end := slices.Index(cie[min(1, len(cie)):], 0)
	if end < 1 || cie[1] != 'z' {
		return pointerAbsolute
	}
	augmentation, rest := cie[2:1+end], cie[min(2+end, len(cie)):]
	for range 3 + 1 { // the alignments, the return register and the length
		_, n := binary.Uvarint(rest)
		if n <= 0 {
			return pointerAbsolute
		}
		rest = rest[n:]
	}
	for _, letter := range augmentation {
		if len(rest) == 0 {
			break
		}
		switch letter {
		case 'R':
			return rest[0]
		case 'L':
			rest = rest[1:]
		case 'P':
			size := map[byte]int{pointerAbsolute: 8, 0x02: 2, pointerUnsigned: 4, 0x0a: 2, pointerSigned: 4}[rest[0]&0x0f]
			rest = rest[min(1+max(size, 4), len(rest)):]
		}
	}
	return pointerAbsolute
}
