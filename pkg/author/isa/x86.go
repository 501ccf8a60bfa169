package isa

import "encoding/binary"

// flow is how an instruction changes what is executed next.
type flow uint8

const (
	onward flow = iota
	call
	jump
	branch // conditional
	stop   // returns, traps, or goes where a register says
)

// access is what an instruction does with an address that it names.
type access uint8

const (
	noAccess access = iota
	takes           // the address itself, in a register
	reads
	writes
)

// instruction is what the analysis looks at of one instruction.
type instruction struct {
	length     int
	extensions set
	flow       flow
	target     uint64 // of call, jump and branch; 0 where it is computed
	access     access
	address    uint64 // of access
	checks     bool   // asks the CPU for what it can do
	padding    bool   // does nothing
	exclusive  bool   // Arm: loads or stores for a loop without atomic instructions
}

const maxX86 = 15 // bytes of an instruction

// What follows an opcode, in the tables below: m is a ModRM byte, b and z an
// immediate of 1 and of 2 or 4 bytes, M and Z both; r and R are relative
// addresses of 1 and 4 bytes; x is invalid, or not to be found in programs.
const oneByte = "mmmmbzxxmmmmbzx-" + "mmmmbzxxmmmmbzxx" + "mmmmbz-xmmmmbz-x" + "mmmmbz-xmmmmbz-x" +
	"----------------" + "................" + "xx-m----zZbMxxxx" + "rrrrrrrrrrrrrrrr" +
	"MZxMmmmmmmmmmmmm" + "..........x....." + "qqqq....bz......" + "bbbbbbbbvvvvvvvv" +
	"MMw.--MZe.w..bx." + "mmmmxxx.mmmmmmmm" + "rrrrxxxxRRxrxxxx" + "-x--..gG..xx..mm"

const twoBytes = "mmmmx...xxx.xm.-" + "mmmmmmmmmmmmmmmm" + "mmmmxxxxmmmmmmmm" + "....xxxx-x-xxxxx" +
	"mmmmmmmmmmmmmmmm" + "mmmmmmmmmmmmmmmm" + "mmmmmmmmmmmmmmmm" + "MMMMmmm.mmxxmmmm" +
	"RRRRRRRRRRRRRRRR" + "mmmmmmmmmmmmmmmm" + "...mMmxm...mMmmm" + "mmmmmmmmmmMmmmmm" +
	"mmMmMMMm........" + "mmmmmmmmmmmmmmmm" + "mmmmmmmmmmmmmmmm" + "mmmmmmmmmmmmmmmm"

// The opcode maps that the prefixes lead to.
const (
	mapOne = iota
	map0F
	map0F38
	map0F3A
)

// The mandatory prefixes as VEX and EVEX number them.
const (
	noPrefix = iota
	p66
	pF3
	pF2
)

// x86Decoder decodes one instruction of 64-bit mode.
type x86Decoder struct {
	code   []byte
	at     uint64 // address of the instruction
	next   int
	prefix int // mandatory
	wide   bool
	opcode byte
	modrm  byte
	long   int // VEX.L, EVEX.L'L
	short  bool
	instruction
}

// decodeX86 decodes the first instruction of code, and reports false where there is
// none.
func decodeX86(code []byte, at uint64) (instruction, bool) {
	d := x86Decoder{code: code[:min(len(code), maxX86)], at: at}
	ok := d.decode()
	d.length = d.next
	return d.instruction, ok && d.next <= len(d.code)
}

// byte takes the next byte, 0 behind the end; decodeX86 looks at the length.
func (d *x86Decoder) byte() byte {
	d.next++
	if d.next > len(d.code) {
		return 0
	}
	return d.code[d.next-1]
}

func (d *x86Decoder) int32() int64 {
	d.next += 4
	if d.next > len(d.code) {
		return 0
	}
	return int64(int32(binary.LittleEndian.Uint32(d.code[d.next-4:])))
}

func (d *x86Decoder) decode() bool {
	locked, segment := false, false
	for range maxX86 {
		switch b := d.byte(); {
		case b == 0x66:
			d.short = true
			if d.prefix == noPrefix {
				d.prefix = p66
			}
		case b == 0xf2:
			d.prefix = pF2
		case b == 0xf3:
			d.prefix = pF3
		case b == 0xf0:
			locked = true
		case b == 0x2e || b == 0x36 || b == 0x3e || b == 0x26 || b == 0x64 || b == 0x65 || b == 0x67:
			segment = segment || b != 0x67
		case b&0xf0 == 0x40:
			d.wide = b&8 != 0
			return d.legacy(d.byte())
		case (b == 0xc4 || b == 0xc5 || b == 0x62) && !locked:
			return d.prefix == noPrefix && d.vector(b)
		case b == 0x8f && d.peek()&0x1f >= 8:
			return d.prefix == noPrefix && d.xop()
		default:
			return d.legacy(b)
		}
	}
	return false
}

func (d *x86Decoder) peek() byte {
	if d.next < len(d.code) {
		return d.code[d.next]
	}
	return 0
}

// legacy decodes what has no vector prefix.
func (d *x86Decoder) legacy(b byte) bool {
	if b&0xf0 == 0x40 || b == 0x66 || b == 0xf2 || b == 0xf3 {
		return false // a prefix behind REX
	}
	d.opcode = b
	if b != 0x0f {
		return d.operands(oneByte[b]) && d.oneByteMeaning()
	}
	d.opcode = d.byte()
	switch d.opcode {
	case 0x38:
		d.opcode = d.byte()
		d.operands('m')
		return d.legacy38()
	case 0x3a:
		d.opcode = d.byte()
		d.operands('M')
		return d.legacy3A()
	case 0x0f:
		d.operands('M')
		d.extensions = of(AMD3DNOW)
		return true
	}
	if d.opcode == 0x78 && (d.prefix == p66 || d.prefix == pF2) { // extrq, insertq
		d.operands('M')
		d.next++
		d.extensions = of(SSE4A)
		return d.modrm >= 0xc0
	}
	return d.operands(twoBytes[d.opcode]) && d.twoByteMeaning()
}

// operands reads what follows an opcode.
func (d *x86Decoder) operands(kind byte) bool {
	switch kind {
	case 'm', 'M', 'Z', 'g', 'G':
		d.operand(kind)
	case 'b':
		d.next++
	case 'z':
		d.immediate()
	case 'r':
		d.relative(int64(int8(d.byte())))
	case 'R':
		d.relative(d.int32())
	case 'w':
		d.next += 2
	case 'e':
		d.next += 3
	case 'q':
		d.next += 8
	case 'v':
		if d.wide {
			d.next += 8
		} else {
			d.immediate()
		}
	case '.':
	default:
		return false
	}
	return true
}

// immediate reads 4 bytes, or 2, which may be the address of a function in a
// program that is loaded at fixed addresses.
func (d *x86Decoder) immediate() {
	if d.short && !d.wide {
		d.next += 2
		return
	}
	value := d.int32()
	if d.access == noAccess && value > 0 {
		d.access, d.address = takes, uint64(value)
	}
}

func (d *x86Decoder) relative(distance int64) {
	d.target = d.at + uint64(d.next) + uint64(distance)
}

// operand reads a ModRM byte with what belongs to it, and an immediate.
func (d *x86Decoder) operand(kind byte) {
	d.modrm = d.byte()
	mod, rm := d.modrm>>6, d.modrm&7
	size := [4]int{0, 1, 4, 0}[mod]
	named := mod == 0 && rm == 5
	if mod != 3 && rm == 4 {
		if sib := d.byte(); sib&7 == 5 && mod == 0 {
			size = 4
		}
	}
	var distance int64
	if named {
		distance = d.int32()
	} else {
		d.next += size
	}
	group := d.modrm>>3&7 < 2 // test has an immediate, the others of its group have none
	switch {
	case kind == 'M' || kind == 'g' && group:
		d.next++
	case kind == 'Z' || kind == 'G' && group:
		d.immediate()
	}
	if named {
		d.access, d.address = reads, d.at+uint64(d.next)+uint64(distance)
	}
}

func (d *x86Decoder) memory() bool { return d.modrm < 0xc0 }
func (d *x86Decoder) reg() byte    { return d.modrm >> 3 & 7 }

// oneByteMeaning says what an opcode of the first map does.
func (d *x86Decoder) oneByteMeaning() bool {
	switch b := d.opcode; {
	case b == 0x90 && d.prefix != pF3, b == 0xcc:
		d.padding = true
	case b == 0xe8:
		d.flow = call
	case b == 0xe9 || b == 0xeb:
		d.flow = jump
	case b >= 0x70 && b <= 0x7f || b >= 0xe0 && b <= 0xe3:
		d.flow = branch
	case b == 0xc3 || b == 0xc2 || b == 0xf4 || b == 0xcb || b == 0xcf || b == 0xca:
		d.flow = stop
	case b == 0xff && d.reg() >= 4 && d.reg() <= 5:
		d.flow = stop
	case b == 0xff && d.reg() == 7, b == 0xfe && d.reg() > 1, b == 0x8d && !d.memory():
		return false
	case b == 0x8d && d.access == reads:
		d.access = takes
	case b == 0x9e || b == 0x9f:
		d.extensions = of(LAHF)
	case b >= 0xdb && b <= 0xdf && b&1 == 1 && d.reg() == 1 && d.memory(): // fisttp
		d.extensions = of(SSE3)
	case d.access == reads && (b == 0x88 || b == 0x89 || b == 0xc6 || b == 0xc7 || b < 0x40 && b&7 < 2 || b == 0x80 && d.reg() != 7 ||
		b == 0x81 && d.reg() != 7 || b == 0x83 && d.reg() != 7 || b == 0x86 || b == 0x87):
		if b&0xf8 != 0x38 { // cmp
			d.access = writes
		}
	}
	return true
}

// twoByteMeaning says what an opcode of the map 0F does.
func (d *x86Decoder) twoByteMeaning() bool {
	e, p := d.extensions, d.prefix
	switch b := d.opcode; {
	case b >= 0x80 && b <= 0x8f:
		d.flow = branch
	case b == 0x0b:
		d.flow = stop
	case b == 0x1f:
		d.padding = true
	case b == 0xa2 || b == 0x01 && d.modrm == 0xd0: // cpuid, xgetbv
		d.checks = true
	case b == 0x12 && (p == pF3 || p == pF2), b == 0x16 && p == pF3, b == 0xd0, (b == 0x7c || b == 0x7d) && p >= p66, b == 0xf0:
		if b >= 0x7c && p != p66 && p != pF2 {
			return false
		}
		e = of(SSE3)
	case b == 0x2b && p >= pF3, b == 0x79 && (p == p66 || p == pF2):
		e = of(SSE4A)
	case b == 0xb8 && p == pF3:
		e = of(POPCNT)
	case b == 0xbd && p == pF3:
		e = of(LZCNT)
	case b == 0xc7 && d.memory() && d.reg() == 1 && d.wide:
		e = of(CX16)
	case b == 0xc7 && !d.memory() && d.reg() == 6 && p <= p66:
		e = of(RDRAND)
	case b == 0xc7 && !d.memory() && d.reg() == 7 && p <= p66:
		e = of(RDSEED)
	case b == 0xb8 || b == 0x7c || b == 0x7d || b == 0x0c || b >= 0x20 && b <= 0x23:
		return false
	case d.access == reads && (b == 0x11 || b == 0x29 || b == 0x7f || b == 0xd6 || b == 0x7e && p != pF3 || b == 0x13 || b == 0x17 ||
		b == 0xb0 || b == 0xb1 || b == 0xc0 || b == 0xc1 || b >= 0x90 && b <= 0x9f):
		d.access = writes
	}
	d.extensions = e
	return true
}

// legacy38 is the map 0F 38.
func (d *x86Decoder) legacy38() bool {
	switch b := d.opcode; {
	case b <= 0x0b || b >= 0x1c && b <= 0x1e:
		d.extensions = of(SSSE3)
	case b == 0x37 && d.prefix == p66:
		d.extensions = of(SSE42)
	case d.prefix == p66 && (b == 0x10 || b == 0x14 || b == 0x15 || b == 0x17 || b >= 0x20 && b <= 0x25 || b >= 0x28 && b <= 0x2b ||
		b >= 0x30 && b <= 0x41 && b != 0x36):
		d.extensions = of(SSE4)
	case b == 0xf0 || b == 0xf1:
		d.extensions = of(MOVBE)
		if d.prefix == pF2 {
			d.extensions = of(SSE42) // crc32
		}
	case b == 0xf6 && (d.prefix == p66 || d.prefix == pF3):
		d.extensions = of(ADX)
	case d.prefix == p66 && b >= 0xdb && b <= 0xdf:
		d.extensions = of(AESNI)
	case d.prefix == noPrefix && b >= 0xc8 && b <= 0xcd:
		d.extensions = of(SHA)
	case b == 0xcf && d.prefix == p66:
		d.extensions = of(GFNI)
	default:
		return b >= 0xd8 && b <= 0xdf || b >= 0xf5 && b <= 0xfc || b == 0x80 || b == 0x81 || b == 0x82 || b == 0x8a || b == 0x8b
	}
	return true
}

// legacy3A is the map 0F 3A.
func (d *x86Decoder) legacy3A() bool {
	switch b := d.opcode; {
	case b == 0x0f:
		d.extensions = of(SSSE3)
	case d.prefix == p66 && (b >= 0x08 && b <= 0x0e || b >= 0x14 && b <= 0x17 || b >= 0x20 && b <= 0x22 || b >= 0x40 && b <= 0x42):
		d.extensions = of(SSE4)
	case d.prefix == p66 && b >= 0x60 && b <= 0x63:
		d.extensions = of(SSE42)
	case d.prefix == p66 && b == 0x44:
		d.extensions = of(CLMUL)
	case d.prefix == p66 && b == 0xdf:
		d.extensions = of(AESNI)
	case d.prefix == p66 && (b == 0xce || b == 0xcf):
		d.extensions = of(GFNI)
	case d.prefix == noPrefix && b == 0xcc:
		d.extensions = of(SHA)
	default:
		return false
	}
	return true
}
