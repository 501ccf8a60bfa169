package isa

// vector decodes an instruction with a VEX or EVEX prefix.
func (d *x86Decoder) vector(first byte) bool {
	var opcodes byte
	switch first {
	case 0xc5:
		d.vexLast(d.byte())
		opcodes = map0F
	case 0xc4:
		opcodes = d.byte() & 0x1f
		last := d.byte()
		d.wide = last&0x80 != 0
		d.vexLast(last)
	default:
		return d.evex()
	}
	d.opcode = d.byte()
	switch opcodes {
	case map0F:
		return d.vex0F()
	case map0F38:
		d.operands('m')
		return d.vex38()
	case map0F3A:
		d.operands('M')
		return d.vex3A()
	default:
		return false
	}
}

func (d *x86Decoder) vexLast(b byte) {
	d.prefix, d.long = int(b&3), int(b>>2&1)
}

// widened is an instruction of AVX that AVX2 has with 256 bits as well.
func (d *x86Decoder) widened() bool {
	d.extensions = of(AVX)
	if d.long == 1 {
		d.extensions = of(AVX, AVX2)
	}
	return true
}

func (d *x86Decoder) is(extensions ...Extension) bool {
	d.extensions = of(extensions...)
	return true
}

func (d *x86Decoder) vex0F() bool {
	b := d.opcode
	switch {
	case b == 0x77: // vzeroupper
		return d.is(AVX)
	case b >= 0x70 && b <= 0x73 || b == 0xc2 || b >= 0xc4 && b <= 0xc6:
		d.operands('M')
	default:
		d.operands('m')
	}
	d.vexStore()
	switch {
	case b >= 0x41 && b <= 0x4b && b != 0x43 && b != 0x48 && b != 0x49, b >= 0x90 && b <= 0x93, b == 0x98, b == 0x99:
		return d.maskMoves()
	case b >= 0x10 && b <= 0x17 || b >= 0x28 && b <= 0x2f || b >= 0x50 && b <= 0x5f || b == 0x7c || b == 0x7d,
		b == 0xae || b == 0xc2 || b == 0xc6 || b == 0xd0 || b == 0xe6 || b == 0xf0:
		return d.is(AVX)
	case b == 0x6e || b == 0x6f || b == 0x7e || b == 0x7f || b == 0xd6 || b == 0xe7 || b == 0xf7 || b == 0xc4 || b == 0xc5:
		return d.prefix != noPrefix && d.is(AVX)
	case b >= 0x60 && b <= 0x6d || b >= 0x71 && b <= 0x76 || b >= 0xd1 && b <= 0xfe:
		return d.prefix == p66 && d.widened()
	case b == 0x70:
		return d.prefix != noPrefix && d.widened()
	default:
		return false
	}
}

// vexStore notes what writes to memory.
func (d *x86Decoder) vexStore() {
	if b := d.opcode; d.access == reads && (b == 0x11 || b == 0x29 || b == 0x7f || b == 0xd6 || b == 0x2b || b == 0xe7 || b == 0x7e && d.prefix != pF3) {
		d.access = writes
	}
}

// maskMoves are the instructions of AVX-512 on mask registers: of 16 bits without
// W, of 8 bits with W and the prefix the other way round, else of 32 or 64.
func (d *x86Decoder) maskMoves() bool {
	moves := d.opcode == 0x92 || d.opcode == 0x93
	switch {
	case d.opcode == 0x4a && d.prefix == noPrefix && !d.wide, d.opcode == 0x4a && d.prefix == p66 && !d.wide, d.opcode == 0x99 && !d.wide:
		return d.is(AVX512F, AVX512DQ) // kadd and ktest of 8 and 16 bits
	case d.opcode == 0x4b && d.prefix == noPrefix && d.wide, moves && d.prefix == pF2, !moves && d.wide:
		return d.is(AVX512F, AVX512BW)
	case d.opcode == 0x4b && d.prefix == p66, d.prefix == noPrefix:
		return d.is(AVX512F)
	case d.prefix == p66:
		return d.is(AVX512F, AVX512DQ)
	default:
		return false
	}
}

func (d *x86Decoder) vex38() bool {
	b := d.opcode
	switch {
	case b == 0xf2, b == 0xf7 && d.prefix == noPrefix, b == 0xf3 && d.reg() >= 1 && d.reg() <= 3:
		return d.is(BMI1)
	case b >= 0xf5 && b <= 0xf7:
		return d.is(BMI2)
	case b >= 0xe0 && b <= 0xef:
		return d.prefix == p66 && d.is(CMPCCXADD)
	case b == 0x49 || b == 0x4b:
		return d.is(AMXTILE)
	case b == 0x5c && d.prefix == pF3:
		return d.is(AMXTILE, AMXBF16)
	case b == 0x5e:
		return d.is(AMXTILE, AMXINT8)
	case b == 0x50 || b == 0x51:
		return d.prefix != p66 && d.is(AVX, AVX2, AVXVNNIINT8) || d.is(AVX, AVX2, AVXVNNI)
	case b == 0xd2 || b == 0xd3:
		return d.is(AVX, AVX2, AVXVNNIINT16)
	case b == 0xb0 || b == 0xb1 || b == 0x72:
		return d.is(AVX, AVX2, AVXNECONVERT)
	case b == 0xda && d.prefix == noPrefix:
		return d.is(AVX, SM3)
	case b == 0xda && d.prefix != p66:
		return d.is(AVX, SM4)
	case b >= 0xcb && b <= 0xcd: // SHA-512, of which NFD has no flag
		return d.prefix == pF2 && d.is(AVX, AVX2)
	case d.prefix != p66:
		return false
	default:
		return d.vex38Vector()
	}
}

func (d *x86Decoder) vex38Vector() bool {
	b := d.opcode
	switch {
	case b <= 0x0b || b >= 0x1c && b <= 0x1e || b >= 0x20 && b <= 0x25 || b >= 0x28 && b <= 0x2b || b >= 0x30 && b <= 0x35 ||
		b >= 0x37 && b <= 0x40:
		return d.widened()
	case b >= 0x0c && b <= 0x0f || b == 0x17 || b == 0x1a || b >= 0x2c && b <= 0x2f || b == 0x41:
		return d.is(AVX)
	case b == 0x18 || b == 0x19: // from a register only since AVX2
		return d.is(AVX) && (d.memory() || d.is(AVX, AVX2))
	case b == 0x13:
		return d.is(AVX, F16C)
	case b == 0x16 || b == 0x36 || b >= 0x45 && b <= 0x47 || b >= 0x58 && b <= 0x5a || b == 0x78 || b == 0x79 || b == 0x8c || b == 0x8e ||
		b >= 0x90 && b <= 0x93:
		return d.is(AVX, AVX2)
	case b >= 0x96 && b <= 0x9f || b >= 0xa6 && b <= 0xaf || b >= 0xb6 && b <= 0xbf:
		return d.is(AVX, FMA3)
	case b == 0x52 || b == 0x53:
		return d.is(AVX, AVX2, AVXVNNI)
	case b == 0xb4 || b == 0xb5:
		return d.is(AVX, AVX2, AVXIFMA)
	case b == 0xcf:
		return d.is(AVX, GFNI)
	case b == 0xda:
		return d.is(AVX, SM3)
	case b == 0xdb || b >= 0xdc && b <= 0xdf && d.long == 0:
		return d.is(AVX, AESNI)
	case b >= 0xdc && b <= 0xdf:
		return d.is(AVX, VAES)
	default:
		return false
	}
}

func (d *x86Decoder) vex3A() bool {
	b := d.opcode
	switch {
	case b == 0xf0:
		return d.prefix == pF2 && d.is(BMI2)
	case d.prefix != p66:
		return false
	case b <= 0x02 || b == 0x38 || b == 0x39 || b == 0x46:
		return d.is(AVX, AVX2)
	case b >= 0x04 && b <= 0x06 || b >= 0x08 && b <= 0x0d || b >= 0x14 && b <= 0x19 || b >= 0x20 && b <= 0x22 || b == 0x40 || b == 0x41 ||
		b == 0x4a || b == 0x4b || b >= 0x60 && b <= 0x63:
		return d.is(AVX)
	case b == 0x0e || b == 0x0f || b == 0x42 || b == 0x4c:
		return d.widened()
	case b == 0x1d:
		return d.is(AVX, F16C)
	case (b == 0x30 || b == 0x32) && d.wide: // kshift
		return d.is(AVX512F)
	case b == 0x30 || b == 0x32:
		return d.is(AVX512F, AVX512DQ)
	case b == 0x31 || b == 0x33:
		return d.is(AVX512F, AVX512BW)
	case b == 0x44 && d.long == 0:
		return d.is(AVX, CLMUL)
	case b == 0x44:
		return d.is(AVX, VPCLMULQDQ)
	case b == 0x48 || b == 0x49:
		return d.is(AVX, XOP)
	case b >= 0x5c && b <= 0x5f || b >= 0x68 && b <= 0x6f || b >= 0x78 && b <= 0x7f:
		return d.is(AVX, FMA4)
	case b == 0xce || b == 0xcf:
		return d.is(AVX, GFNI)
	case b == 0xde:
		return d.is(AVX, SM3)
	case b == 0xdf:
		return d.is(AVX, AESNI)
	default:
		return false
	}
}

// xop decodes AMD's own vector instructions.
func (d *x86Decoder) xop() bool {
	opcodes := d.byte() & 0x1f
	d.vexLast(d.byte())
	d.opcode = d.byte()
	b := d.opcode
	switch opcodes {
	case 8:
		d.operands('M')
		return b >= 0x85 && b <= 0xef && d.is(AVX, XOP)
	case 9:
		d.operands('m')
		switch b {
		case 0x01, 0x02:
			return d.is(TBM)
		case 0x12:
			return d.is(LWP)
		}
		return b >= 0x80 && b <= 0xe3 && d.is(AVX, XOP)
	case 10:
		d.operands('m')
		d.next += 4
		switch b {
		case 0x10:
			return d.is(TBM)
		case 0x12:
			return d.is(LWP)
		}
	}
	return false
}
