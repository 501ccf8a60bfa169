package isa

import "encoding/binary"

// armDecoder decodes instructions of 64-bit Arm. It follows the addresses that are
// put together by adrp and a second instruction, within one function.
type armDecoder struct {
	pages [32]uint64
}

// pattern is an instruction, by the bits that tell it.
type pattern struct {
	mask, value uint32
	extensions  set
}

// armPatterns are the instructions of extensions, after the encoding index of the
// Arm Architecture Reference Manual.
//
//nolint:gochecknoglobals // a constant that Go cannot write as one
var armPatterns = []pattern{
	{0x7fe0e000, 0x1ac04000, of(CRC32)},
	{0xff3ffc00, 0x4e284800, of(AES)}, {0xff3ffc00, 0x4e285800, of(AES)}, {0xff3ffc00, 0x4e286800, of(AES)}, {0xff3ffc00, 0x4e287800, of(AES)},
	{0xbfe0fc00, 0x0ee0e000, of(AES)}, // pmull of 64 bits
	{0xffe0cc00, 0x5e000000, of(SHA1)}, {0xffffec00, 0x5e280800, of(SHA1)},
	{0xffe0cc00, 0x5e004000, of(SHA2)}, {0xfffffc00, 0x5e282800, of(SHA2)},
	{0x3f208c00, 0x38200000, of(ATOMICS)}, // ldadd and the like
	{0x3f20fc00, 0x38208000, of(ATOMICS)}, // swp
	{0x3fa07c00, 0x08a07c00, of(ATOMICS)}, // cas
	{0xbfa07c00, 0x08207c00, of(ATOMICS)}, // casp
	{0xbf20fc00, 0x2e008400, of(ASIMDRDM)}, {0xbf20fc00, 0x2e008c00, of(ASIMDRDM)},
	{0xff20fc00, 0x7e008400, of(ASIMDRDM)}, {0xff20fc00, 0x7e008c00, of(ASIMDRDM)},
	{0xbf00d400, 0x2f00d000, of(ASIMDRDM)},
	{0x9f60c400, 0x0e400400, of(ASIMDHP)}, {0xbfff0c00, 0x0ef80800, of(ASIMDHP)}, {0xbfff0c00, 0x2ef80800, of(ASIMDHP)},
	{0x9fc03400, 0x0f001000, of(ASIMDHP)},
	{0x7fe00000, 0x1ee00000, of(FPHP)}, {0xffc00000, 0x1fc00000, of(FPHP)},
	{0xbf20fc00, 0x0e009400, of(ASIMDDP)}, {0xbf20fc00, 0x2e009400, of(ASIMDDP)}, {0xbfc0f400, 0x0f80e000, of(ASIMDDP)}, {0xbfc0f400, 0x2f80e000, of(ASIMDDP)},
	{0xbf60fc00, 0x0e20ec00, of(ASIMDFHM)}, {0xbf60fc00, 0x2e20cc00, of(ASIMDFHM)},
	{0xbf20e400, 0x2e00c400, of(FCMA)}, {0xbf20ec00, 0x2e00e400, of(FCMA)},
	{0xfffffc00, 0x1e7e0000, of(JSCVT)},
	{0x3ffffc00, 0x38bfc000, of(LRCPC)}, {0x3f200c00, 0x19000000, of(ILRCPC)},
	{0xffffc000, 0xdac10000, of(PACA)}, {0xfffffbff, 0xd65f0bff, of(PACA)}, {0xff200400, 0xf8200400, of(PACA)},
	{0xffe07c10, 0xba000400, of(FLAGM)}, {0xffffbc1f, 0x3a00080d, of(FLAGM)},
	{0xff3e7c00, 0x1e284000, of(FRINT)},
	{0xffe08000, 0xce000000, of(SHA3)}, {0xffe08000, 0xce200000, of(SHA3)}, {0xffe0fc00, 0xce608c00, of(SHA3)}, {0xffe00000, 0xce800000, of(SHA3)},
	{0xffe0f000, 0xce608000, of(SHA512)}, {0xfffffc00, 0xcec08000, of(SHA512)},
	{0xffe08000, 0xce400000, of(ARMSM3)}, {0xffe0f000, 0xce60c000, of(ARMSM3)}, {0xfffffc00, 0xcec08400, of(ARMSM4)},
	{0xffe0f400, 0x4e80a400, of(I8MM)}, {0xffe0f400, 0x6e80a400, of(I8MM)}, {0xbfe0fc00, 0x0e809c00, of(I8MM)},
	{0xbfe0fc00, 0x2e40fc00, of(BF16)}, {0xffe0fc00, 0x6e40ec00, of(BF16)}, {0xbffffc00, 0x0ea16800, of(BF16)}, {0xfffffc00, 0x1e634000, of(BF16)},
	{0x3f200c00, 0x19000400, of(MOPS)},
}

// decode decodes the first instruction of code.
func (d *armDecoder) decode(code []byte, at uint64) (instruction, bool) {
	in := instruction{length: 4}
	if len(code) < 4 {
		return in, false
	}
	w := binary.LittleEndian.Uint32(code)
	switch group := w >> 25 & 15; {
	case group == 0 && w>>31 == 1:
		in.extensions = of(SME)
		return in, true
	case group == 0 && w < 0x10000: // udf, also as padding
		in.flow = stop
		return in, true
	case group == 0 || group == 1 || group == 3:
		return in, false
	case group == 2:
		in.extensions = of(SVE)
		if isSVE2(w) {
			in.extensions = of(SVE, SVE2)
		}
		return in, true
	case group >= 10 && group <= 11:
		d.flow(w, at, &in)
	default:
		d.address(w, at, &in)
	}
	const fcvtS, fcvtD = 0x1ee24000, 0x1ee2c000 // of half precision, which Armv8.0 has
	if in.target == 0 && in.address == 0 && w&0xfffffc00 != fcvtS && w&0xfffffc00 != fcvtD {
		for _, p := range armPatterns {
			if w&p.mask == p.value {
				in.extensions |= p.extensions
			}
		}
	}
	return in, true
}

// isSVE2 knows the groups of instructions that SVE2 added: those on integers that
// widen, narrow, interleave or carry, and those of cryptography.
func isSVE2(w uint32) bool {
	switch {
	case w&0xff208000 == 0x45000000, w&0xff20c000 == 0x45208000, w&0xff208000 == 0x45008000: // widening, narrowing
		return w&0xffe0fc00 != 0x45009800 && w&0xffe0fc00 != 0x45c09800 && w&0xffe0fc00 != 0x45809800 // smmla
	case w&0xff208000 == 0x44008000 && w&0xff3f0000 != 0x44000000: // halving, saturating, predicated
		return true
	case w&0xff208000 == 0x44000000: // multiply-add: sdot and udot are of SVE
		return w>>11&15 != 0
	case w&0xff200000 == 0x44200000: // the same by element
		return w>>11&31 != 0 && w>>11&31 != 3
	case w&0xff20e000 == 0x04206000, w&0xff20f800 == 0x04203800: // multiply without a predicate, logic of three
		return true
	case w&0xff20f800 == 0x05202800, w&0xff20e400 == 0x25200000: // tables of two registers, whilege and the like
		return true
	default:
		return false
	}
}

// flow decodes branches and what asks the system.
func (d *armDecoder) flow(w uint32, at uint64, in *instruction) {
	offset := func(shift, size uint) {
		in.target = at + uint64(int64(int32(w<<(32-shift-size)))>>(32-size)*4)
	}
	switch {
	case w == 0xd503201f: // nop
		in.padding = true
	case w>>26 == 0b000101:
		in.flow = jump
		offset(0, 26)
	case w>>26 == 0b100101:
		in.flow = call
		offset(0, 26)
	case w>>24 == 0b01010100, w&0x7e000000 == 0x34000000:
		in.flow = branch
		offset(5, 19)
	case w&0x7e000000 == 0x36000000:
		in.flow = branch
		offset(5, 14)
	case w&0xfffffc1f == 0xd65f0000, w&0xfffffc1f == 0xd61f0000, w&0xffe0001f == 0xd4200000:
		in.flow = stop
	case w&0xfffff000 == 0xd5380000: // mrs of the registers that describe the CPU
		in.checks = w>>8&15 <= 7 && w>>5&7 != 0 || w>>8&15 >= 4
	}
}

// address follows adrp, and what uses it.
func (d *armDecoder) address(w uint32, at uint64, in *instruction) {
	rd, rn := w&31, w>>5&31
	switch {
	case w&0x9f000000 == 0x90000000: // adrp
		pages := int64(int32(w<<8)>>13)<<2 | int64(w>>29&3)
		d.pages[rd] = at&^0xfff + uint64(pages<<12)
	case w&0x9f000000 == 0x10000000: // adr
		in.access, in.address = takes, at+uint64(int64(int32(w<<8)>>13)<<2|int64(w>>29&3))
	case w&0xff800000 == 0x91000000 && d.pages[rn] != 0 && rn != 31: // add
		in.access, in.address = takes, d.pages[rn]+uint64(w>>10&0xfff)
		if rd != rn {
			d.pages[rd] = 0
		}
	case w&0x3b000000 == 0x39000000 && d.pages[rn] != 0 && rn != 31: // ldr, str
		in.address = d.pages[rn] + uint64(w>>10&0xfff)<<(w>>30)
		in.access = reads
		if w>>22&3 == 0 {
			in.access = writes
		}
	case w&0x3f000000 == 0x08000000 && w>>21&1 == 0: // ldxr, stxr
		in.exclusive = w>>23&1 == 0
	}
}
