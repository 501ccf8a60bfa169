package isa

import (
	"encoding/hex"
	"strings"
	"testing"
)

func namesOf(s set, names []string) string {
	var all []string
	for e := range s.all() {
		all = append(all, names[e])
	}
	return strings.Join(all, " ")
}

// TestDecodeX86KnowsLengthsAndExtensions has instructions as objdump prints them.
func TestDecodeX86KnowsLengthsAndExtensions(t *testing.T) {
	t.Parallel()
	tests := []struct{ code, want, text string }{
		{"90", "", "nop"},
		{"662e0f1f840000000000", "", "cs nopw 0x0(%rax,%rax,1)"},
		{"f30f1efa", "", "endbr64"},
		{"48b8efcdab8967452301", "", "movabs $0x123456789abcdef,%rax"},
		{"66c70500000000ffff", "", "movw $0xffff,0x0(%rip)"},
		{"f6052a00000001", "", "testb $0x1,0x2a(%rip)"},
		{"f7d8", "", "neg %eax"},
		{"c8100000", "", "enter $0x10,$0x0"},
		{"f30fbcc0", "", "tzcnt, which older CPUs run as bsf"},
		{"660f6fc1", "", "movdqa %xmm1,%xmm0"},
		{"f20f12c1", "SSE3", "movddup %xmm1,%xmm0"},
		{"660fd0c1", "SSE3", "addsubpd %xmm1,%xmm0"},
		{"db4c24f8", "SSE3", "fisttpl -0x8(%rsp)"},
		{"660f3800c1", "SSSE3", "pshufb %xmm1,%xmm0"},
		{"660f3a0fc108", "SSSE3", "palignr $0x8,%xmm1,%xmm0"},
		{"660f3a0bc109", "SSE4", "roundsd $0x9,%xmm1,%xmm0"},
		{"660f3837c1", "SSE42", "pcmpgtq %xmm1,%xmm0"},
		{"f2480f38f1c1", "SSE42", "crc32q %rcx,%rax"},
		{"f3480fb8c1", "POPCNT", "popcnt %rcx,%rax"},
		{"f3480fbdc1", "LZCNT", "lzcnt %rcx,%rax"},
		{"f0480fc70f", "CX16", "lock cmpxchg16b (%rdi)"},
		{"0fc70f", "", "cmpxchg8b (%rdi)"},
		{"9f", "LAHF", "lahf"},
		{"0f38f007", "MOVBE", "movbe (%rdi),%eax"},
		{"c5f877", "AVX", "vzeroupper"},
		{"c5f458c2", "AVX", "vaddps %ymm2,%ymm1,%ymm0"},
		{"c5f1fec2", "AVX", "vpaddd %xmm2,%xmm1,%xmm0"},
		{"c5f5fec2", "AVX AVX2", "vpaddd %ymm2,%ymm1,%ymm0"},
		{"c4e2751800", "AVX", "vbroadcastss (%rax),%ymm0"},
		{"c4e27d18c1", "AVX AVX2", "vbroadcastss %xmm1,%ymm0"},
		{"c4e27d13c1", "AVX F16C", "vcvtph2ps %xmm1,%ymm0"},
		{"c4e275b8c2", "AVX FMA3", "vfmadd231ps %ymm2,%ymm1,%ymm0"},
		{"c4e3e968c240", "AVX FMA4", "vfmaddps"},
		{"c4e2f8f2c1", "BMI1", "andn %rcx,%rax,%rax"},
		{"c4e2f9f7c1", "BMI2", "shlx %rax,%rcx,%rax"},
		{"c4e2f8f7c1", "BMI1", "bextr %rax,%rcx,%rax"},
		{"c4e3fbf0c105", "BMI2", "rorx $0x5,%rcx,%rax"},
		{"c4e279dcc1", "AVX AESNI", "vaesenc %xmm1,%xmm0,%xmm0"},
		{"c4e27ddcc1", "AVX VAES", "vaesenc %ymm1,%ymm0,%ymm0"},
		{"660f38dcc1", "AESNI", "aesenc %xmm1,%xmm0"},
		{"660f3a44c100", "CLMUL", "pclmullqlqdq %xmm1,%xmm0"},
		{"0f38cbc1", "SHA", "sha256rnds2 %xmm0,%xmm1,%xmm0"},
		{"f3480f38f6c1", "ADX", "adox %rcx,%rax"},
		{"8fe97801c9", "TBM", "blcfill %ecx,%eax"},
		{"8fe878c2c105", "AVX XOP", "vprotd $0x5,%xmm1,%xmm0"},
		{"660f78c01008", "SSE4A", "extrq $0x8,$0x10,%xmm0"},
		{"0f0fc19e", "AMD3DNOW", "pfadd %mm1,%mm0"},
		{"0fc7f0", "RDRAND", "rdrand %eax"},
		{"62f1744858c2", "AVX512F", "vaddps %zmm2,%zmm1,%zmm0"},
		{"62f1742858c2", "AVX512F AVX512VL", "vaddps %ymm2,%ymm1,%ymm0 {evex}"},
		{"62f1f6085806", "AVX512F", "vaddss (%rsi),%xmm1,%xmm0 {evex}"},
		{"62f17d48fdc2", "AVX512F AVX512BW", "vpaddw %zmm2,%zmm0,%zmm0"},
		{"62f1fd4854c2", "AVX512F AVX512DQ", "vandpd %zmm2,%zmm0,%zmm0"},
		{"62f27d48c4c1", "AVX512F AVX512CD", "vpconflictd %zmm1,%zmm0"},
		{"62f27d488dc1", "AVX512F AVX512VBMI", "vpermb %zmm1,%zmm0,%zmm0"},
		{"62f27d4850c1", "AVX512F AVX512VNNI", "vpdpbusd %zmm1,%zmm0,%zmm0"},
		{"62f27e4852c1", "AVX512F AVX512BF16", "vdpbf16ps %zmm1,%zmm0,%zmm0"},
		{"c5f892c0", "AVX512F", "kmovw %eax,%k0"},
		{"c5fb92c0", "AVX512F AVX512BW", "kmovd %eax,%k0"},
		{"c5f992c0", "AVX512F AVX512DQ", "kmovb %eax,%k0"},
	}
	for _, tt := range tests {
		code, err := hex.DecodeString(tt.code)
		if err != nil {
			t.Fatal(err)
		}
		in, ok := decodeX86(append(code, 0x90, 0x90, 0x90, 0x90), 0x1000)
		if got := namesOf(in.extensions, x86Names()); !ok || in.length != len(code) || got != tt.want {
			t.Errorf("%s %s: %v, length %d, %q, want %d, %q", tt.code, tt.text, ok, in.length, got, len(code), tt.want)
		}
	}
	for _, invalid := range []string{"", "06", "6c", "ec", "66", "c5", "c5f8", "c5f804c0", "62f17d", "62f97d4858c2", "480f", "0f04", "e800", "f0c5f877"} {
		code, _ := hex.DecodeString(invalid)
		if in, ok := decodeX86(code, 0); ok {
			t.Errorf("%s is an instruction: %+v", invalid, in)
		}
	}
}

func TestDecodeX86FollowsCallsAndVariables(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		code, text string
		want       instruction
	}{
		{"e8fb0f0000", "call 0x2000", instruction{length: 5, flow: call, target: 0x2000}},
		{"ebfe", "jmp 0x1000", instruction{length: 2, flow: jump, target: 0x1000}},
		{"0f84fa0f0000", "je 0x2000", instruction{length: 6, flow: branch, target: 0x2000}},
		{"c3", "ret", instruction{length: 1, flow: stop}},
		{"ffe0", "jmp *%rax", instruction{length: 2, flow: stop}},
		{"488d05f90f0000", "lea 0x2000(%rip),%rax", instruction{length: 7, access: takes, address: 0x2000}},
		{"8b05fa0f0000", "mov 0x2000(%rip),%eax", instruction{length: 6, access: reads, address: 0x2000}},
		{"8905fa0f0000", "mov %eax,0x2000(%rip)", instruction{length: 6, access: writes, address: 0x2000}},
		{"c705f60f000001000000", "movl $0x1,0x2000(%rip)", instruction{length: 10, access: writes, address: 0x2000}},
		{"48c7c700200000", "mov $0x2000,%rdi", instruction{length: 7, access: takes, address: 0x2000}},
		{"0fa2", "cpuid", instruction{length: 2, checks: true}},
		{"0f01d0", "xgetbv", instruction{length: 3, checks: true}},
		{"cc", "int3", instruction{length: 1, padding: true}},
	} {
		code, _ := hex.DecodeString(tt.code)
		if got, ok := decodeX86(code, 0x1000); !ok || got != tt.want {
			t.Errorf("%s: %v %+v, want %+v", tt.text, ok, got, tt.want)
		}
	}
}

// TestDecodeArmKnowsExtensions has instructions as objdump prints them.
func TestDecodeArmKnowsExtensions(t *testing.T) {
	t.Parallel()
	for want, all := range map[string]string{
		"": "8b020020 f9400420 f85f8020 3ce26820 b8227820 c85f7c20 c8dffc20 a9bf07e0 4e22d420 1e622820 1f420c20 1ee24020 1e23c020 9e670020 " +
			"4ea29c20 4e020020 0e22e020 6ea2b420 0e629020 d53bd040 9ac20820 fa410000 d503233f d503245f 4f235420 4c000800 6fa20020 5fc21820 4f03f600",
		"CRC32":    "1ac24020 9ac25c20",
		"AES":      "4e284820 4e286820 0ee2e020 4ee2e020",
		"SHA1":     "5e020020 5e280820 5e023020",
		"SHA2":     "5e024020 5e282820",
		"ATOMICS":  "b8200041 f8e00041 f8e08041 88a07c41 c8e0fc41 48207c82 b820005f f8203041",
		"ASIMDRDM": "6e828420 7e828420 6fa2f020",
		"ASIMDHP":  "4e421420 4ef8f820 4f121020",
		"FPHP":     "1ee22820 1ee12000 1ee20c20 1fc20c20 1ef80020 1ee70020",
		"ASIMDDP":  "6e829420 4fa2e020",
		"ASIMDFHM": "4e22ec20",
		"FCMA":     "6e82e420 6e82cc20",
		"JSCVT":    "1e7e0020",
		"LRCPC":    "f8bfc020",
		"ILRCPC":   "d9408020 d9008020",
		"PACA":     "dac10020 d65f0bff f8200420",
		"FLAGM":    "3a00080d ba008402",
		"FRINT":    "1e684020",
		"SHA3":     "ce020c20 ce820c20",
		"SHA512":   "ce628020 cec08020",
		"SM3":      "ce420c20 ce62c020",
		"SM4":      "cec08420",
		"I8MM":     "4e82a420 6e82a420 4e829c20",
		"BF16":     "6e42fc20 6e42ec20 0ea16820 1e634020",
		"SVE":      "2598e3e0 25a10c00 a540a000 65a20020 04a20020 44820420 45029820 04900020 05233020",
		"SVE SVE2": "45427020 44988020 4582fc20 44aa0820 04a26020 04213c40 04213840 45228020 05232820 25a10000 44827020",
		"MOPS":     "19010440",
	} {
		for word := range strings.FieldsSeq(all) {
			b, _ := hex.DecodeString(word)
			code := []byte{b[3], b[2], b[1], b[0]}
			in, ok := (&armDecoder{}).decode(code, 0x1000)
			if got := namesOf(in.extensions, armNames()); !ok || got != want {
				t.Errorf("%s: %v %q, want %q", word, ok, got, want)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{0xc5, 0xf4, 0x58, 0xc2})
	f.Add([]byte{0x62, 0xf1, 0x74, 0x48, 0x58, 0xc2})
	f.Add([]byte{0xe8, 0xfb, 0x0f, 0, 0, 0xc3})
	f.Fuzz(func(t *testing.T, code []byte) {
		if in, ok := decodeX86(code, 0x1000); ok && (in.length < 1 || in.length > maxX86 || in.length > len(code)) {
			t.Errorf("%x: length %d", code, in.length)
		}
		(&armDecoder{}).decode(code, 0x1000)
		for _, arch := range []string{"amd64", "arm64"} {
			uses := Analyze(Program{
				Arch: arch, Text: []Region{{0x1000, code}, {0x1004, code}}, Starts: []uint64{0x1002, 0, 1 << 63}, Entry: 0x1000,
				Exports: []uint64{0x1003}, Resolvers: []uint64{0x1001}, Imports: map[uint64]string{0x2000: "getauxval"},
				IsVariable: func(a uint64) bool { return a > 0x2000 },
			})
			for _, u := range uses {
				if u.Functions < 1 || u.Extension == "" || u.Where == "" {
					t.Errorf("%x: %+v", code, u)
				}
			}
		}
	})
}
