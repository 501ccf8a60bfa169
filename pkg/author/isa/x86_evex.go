package isa

import "strings"

// evex decodes an instruction of AVX-512.
func (d *x86Decoder) evex() bool {
	p0, p1, p2 := d.byte(), d.byte(), d.byte()
	opcodes := p0 & 7
	if p0&8 != 0 || p1&4 == 0 {
		return false
	}
	d.wide, d.prefix, d.long = p1&0x80 != 0, int(p1&3), int(p2>>5&3)
	d.opcode = d.byte()
	b := d.opcode
	switch {
	case opcodes == map0F3A || opcodes == map0F && (b >= 0x70 && b <= 0x73 || b == 0xc2 || b >= 0xc4 && b <= 0xc6):
		d.operands('M')
	default:
		d.operands('m')
	}
	rounds := p2&0x10 != 0 && !d.memory()
	if d.long == 3 && !rounds {
		return false
	}
	e, ok := d.evexGroup(opcodes)
	d.extensions = of(AVX512F) | e
	if d.long < 2 && !rounds && !d.scalar(opcodes) {
		d.extensions |= of(AVX512VL)
	}
	return ok
}

// scalar reports an instruction on one element, which has no length.
func (d *x86Decoder) scalar(opcodes byte) bool {
	b := d.opcode
	switch opcodes {
	case map0F:
		floats := b == 0x10 || b == 0x11 || b >= 0x51 && b <= 0x5f || b == 0xc2
		return b == 0x2e || b == 0x2f || floats && d.prefix >= pF3 && b != 0x5b && b != 0x12 || b >= 0x2a && b <= 0x2d ||
			(b == 0x6e || b == 0xc4 || b == 0xc5 || b == 0xd6 || b == 0x12 || b == 0x13 || b == 0x16 || b == 0x17) && d.prefix != pF3 && d.prefix != pF2 ||
			b == 0x7e || (b == 0x78 || b == 0x79) && d.prefix >= pF3 || b == 0x7b && d.prefix >= pF3
	case map0F38:
		return b == 0x43 || b == 0x2d || b == 0x4d || b == 0x4f || b == 0xcb || b == 0xcd || (b >= 0x99 && b <= 0x9f || b >= 0xa9 && b <= 0xaf ||
			b >= 0xb9 && b <= 0xbf) && b&1 == 1
	case map0F3A:
		return b == 0x0a || b == 0x0b || b == 0x27 || b == 0x51 || b == 0x55 || b == 0x57 || b == 0x67 || b >= 0x14 && b <= 0x17 ||
			b >= 0x20 && b <= 0x22
	default:
		return true // FP16: has VL on every CPU
	}
}

// evexGroup returns the extension of AVX-512 that an opcode is of, beyond
// AVX512F.
func (d *x86Decoder) evexGroup(opcodes byte) (set, bool) {
	switch opcodes {
	case map0F:
		return d.evex0F()
	case map0F38:
		return d.evex38()
	case map0F3A:
		return d.evex3A()
	case 5, 6:
		return of(AVX512FP16), true
	default:
		return 0, false
	}
}

// in reports whether a list of hexadecimal numbers has the opcode.
func (d *x86Decoder) in(list string) bool {
	const digits = "0123456789abcdef"
	return strings.Contains(list, string([]byte{' ', digits[d.opcode>>4], digits[d.opcode&15]}))
}

func (d *x86Decoder) evex0F() (set, bool) {
	switch b := d.opcode; {
	case d.in(" 60 61 63 64 65 67 68 69 6b 71 74 75 c4 c5 d1 d5 d8 d9 da dc dd de e0 e1 e3 e4 e5 e8 e9 ea ec ed ee f1 f5 f6 f8 f9 fc fd"),
		b == 0x73 && (d.reg() == 3 || d.reg() == 7), (b == 0x70 || b == 0x6f || b == 0x7f) && d.prefix >= pF3 && (b == 0x70 || d.prefix == pF2):
		return of(AVX512BW), true
	case b >= 0x54 && b <= 0x57, b == 0x5b && d.prefix == noPrefix && d.wide, b == 0xe6 && d.prefix == pF3 && d.wide,
		(b == 0x78 || b == 0x79 || b == 0x7a || b == 0x7b) && d.prefix == p66, b == 0x7a && d.wide:
		return of(AVX512DQ), true
	default:
		return 0, d.in(" 10 11 12 13 14 15 16 17 28 29 2a 2b 2c 2d 2e 2f 51 58 59 5a 5b 5c 5d 5e 5f 62 66 6a 6c 6d 6e 6f 70 72 73 76 " +
			"78 79 7a 7b 7e 7f c2 c6 d2 d3 d4 d6 db df e2 e6 e7 eb ef f2 f3 f4 fa fb fe")
	}
}

func (d *x86Decoder) evex38() (set, bool) {
	if e, known := d.evex38Late(); known {
		return e, true
	}
	b, p := d.opcode, d.prefix
	switch {
	case d.in(" 00 04 0b 1c 1d 26 3c 3e 66 78 79 7a 7b"), (b == 0x8d || b == 0x7d || b == 0x75) && d.wide, (b == 0x10 || b == 0x11 || b == 0x12) && p == p66 && d.wide,
		(b == 0x10 || b == 0x20 || b == 0x30) && p == pF3, (b == 0x20 || b == 0x30 || b == 0x38 || b == 0x3a) && p == p66,
		(b == 0x28 || b == 0x29) && p == pF3:
		return of(AVX512BW), true
	case (b == 0x19 || b == 0x59 || b == 0x1b || b == 0x5b) && !d.wide, (b == 0x1a || b == 0x5a || b == 0x40) && d.wide,
		(b == 0x38 || b == 0x39) && p == pF3:
		return of(AVX512DQ), true
	case b == 0x44 || b == 0xc4 || (b == 0x2a || b == 0x3a) && p == pF3:
		return of(AVX512CD), true
	default:
		return 0, d.in(" 0c 0d 10 11 12 13 14 15 16 18 19 1a 1b 1e 1f 21 22 23 24 25 27 28 29 2a 2b 2c 2d 31 32 33 34 35 36 37 39 3a 3b 3d 3f 40 " +
			"42 43 45 46 47 4c 4d 4e 4f 58 59 5a 5b 64 65 76 77 7c 7e 7f 88 89 8a 8b 90 91 92 93 " +
			"96 97 98 99 9a 9b 9c 9d 9e 9f a0 a1 a2 a3 a6 a7 a8 a9 aa ab ac ad ae af b6 b7 b8 b9 ba bb bc bd be bf")
	}
}

// evex38Late are the extensions after the first five.
func (d *x86Decoder) evex38Late() (set, bool) {
	b, p := d.opcode, d.prefix
	switch {
	case b == 0x75 && !d.wide, b == 0x7d && !d.wide, b == 0x8d && !d.wide, b == 0x83:
		return of(AVX512VBMI), true
	case b == 0x62, b == 0x63, b >= 0x70 && b <= 0x73 && p == p66:
		return of(AVX512VBMI2), true
	case b == 0x52 && p == pF3, b == 0x72 && p >= pF3:
		return of(AVX512BF16), true
	case (b == 0x52 || b == 0x53) && p == pF2:
		return of(AVX5124VNNIW), true
	case b >= 0x50 && b <= 0x53:
		return of(AVX512VNNI), p == p66
	case b == 0x54 || b == 0x8f:
		return of(AVX512BITALG), true
	case b == 0x55:
		return of(AVX512VPOPCNTDQ), true
	case b == 0x68 && p == pF2:
		return of(AVX512VP2INTERSECT), true
	case (b == 0x9a || b == 0x9b || b == 0xaa || b == 0xab) && p == pF2:
		return of(AVX5124FMAPS), true
	case b == 0xb4 || b == 0xb5:
		return of(AVX512IFMA), true
	case b == 0xc6 || b == 0xc7:
		return of(AVX512PF), true
	case b == 0xc8 || b >= 0xca && b <= 0xcd:
		return of(AVX512ER), true
	case b == 0xcf:
		return of(GFNI), true
	case b >= 0xdc && b <= 0xdf:
		return of(VAES), true
	default:
		return 0, false
	}
}

func (d *x86Decoder) evex3A() (set, bool) {
	b := d.opcode
	half := d.in(" 08 0a 26 27 56 57 66 67 c2")
	switch {
	case half && (d.prefix == noPrefix || b == 0xc2):
		return of(AVX512FP16), true
	case d.in(" 0f 14 15 20 3e 3f 42"):
		return of(AVX512BW), true
	case d.in(" 16 22 50 51 56 57 66 67"), d.in(" 18 19 38 39") && d.wide, d.in(" 1a 1b 3a 3b") && !d.wide:
		return of(AVX512DQ), true
	case b >= 0x70 && b <= 0x73:
		return of(AVX512VBMI2), true
	case b == 0xce || b == 0xcf:
		return of(GFNI), true
	case b == 0x44:
		return of(VPCLMULQDQ), true
	default:
		return 0, d.in(" 00 01 03 04 05 08 09 0a 0b 17 18 19 1a 1b 1d 1e 1f 21 23 25 26 27 38 39 3a 3b 43 54 55")
	}
}
