package inspect_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/author/inspect"
)

// gpuPart is code for one kind of GPU, as nvcc lays it out.
type gpuPart struct {
	kind, arch   int // 1 is PTX, 2 machine code
	major, minor int // version of the code
	data         string
}

func fatbin(parts ...gpuPart) []byte {
	le := binary.LittleEndian
	var body []byte
	for _, p := range parts {
		data := append([]byte(p.data), make([]byte, -len(p.data)&7)...)
		body = le.AppendUint16(body, uint16(p.kind))
		body = le.AppendUint16(body, 0x101)
		body = le.AppendUint32(body, 64)
		body = le.AppendUint64(body, uint64(len(data)))
		body = le.AppendUint64(body, 0)
		body = le.AppendUint16(body, uint16(p.minor))
		body = le.AppendUint16(body, uint16(p.major))
		body = le.AppendUint32(body, uint32(p.arch))
		body = append(append(body, make([]byte, 32)...), data...)
	}
	head := le.AppendUint32(nil, 0xba55ed50)
	head = le.AppendUint16(head, 1)
	head = le.AppendUint16(head, 16)
	return append(le.AppendUint64(head, uint64(len(body))), body...)
}

// cubin begins as machine code of a release of CUDA.
func cubin(release uint32) string {
	head := append([]byte("\x7fELF\x02\x01\x01\x33"), make([]byte, 12)...)
	return string(append(binary.LittleEndian.AppendUint32(head, release), make([]byte, 40)...))
}

// withGPUCode is a program with a section of code for GPUs.
func withGPUCode(t *testing.T, section []byte) []byte {
	t.Helper()
	names := []byte("\x00.nv_fatbin\x00.shstrtab\x00")
	const head, segment = 64, 56
	at := uint64(head + segment)
	sections := at + uint64(len(section)) + uint64(len(names))
	var b bytes.Buffer
	for _, part := range []any{
		elf.Header64{
			Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
			Type:  uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Phoff: head, Ehsize: head, Phentsize: segment, Phnum: 1,
			Shoff: sections, Shentsize: 64, Shnum: 3, Shstrndx: 2,
		},
		elf.Prog64{Type: uint32(elf.PT_LOAD), Vaddr: 0x10000, Filesz: sections},
		section, names,
		elf.Section64{},
		elf.Section64{Name: 1, Type: uint32(elf.SHT_PROGBITS), Off: at, Size: uint64(len(section))},
		elf.Section64{Name: 12, Type: uint32(elf.SHT_STRTAB), Off: at + uint64(len(section)), Size: uint64(len(names))},
	} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestCodeForGPUsIsRead(t *testing.T) {
	t.Parallel()
	one := fatbin(gpuPart{2, 90, 1, 8, cubin(128)}, gpuPart{2, 75, 1, 7, "compressed"}, gpuPart{1, 90, 8, 7, "ptx"})
	for name, tt := range map[string]struct {
		section []byte
		want    inspect.GPUCode
		needs   string
	}{
		"machine code and PTX": {one, inspect.GPUCode{Real: []int{75, 90}, Virtual: []int{90}, Release: "12.8"}, "capability=[7.5,) version=12.8"},
		"machine code alone":   {fatbin(gpuPart{2, 70, 1, 7, "x"}, gpuPart{2, 86, 1, 7, "x"}), inspect.GPUCode{Real: []int{70, 86}}, "capability=[7.0,9.0)"},
		"several, with a gap":  {slices.Concat(fatbin(gpuPart{1, 80, 7, 0, ""}), make([]byte, 24), fatbin(gpuPart{2, 120, 1, 7, cubin(130)})), inspect.GPUCode{Real: []int{120}, Virtual: []int{80}, Release: "13.0"}, "capability=[8.0,) version=13.0"},
		"an unknown release":   {fatbin(gpuPart{1, 80, 42, 0, ""}), inspect.GPUCode{Virtual: []int{80}}, "capability=[8.0,)"},
		"cut off":              {one[:len(one)-1], inspect.GPUCode{Real: []int{75, 90}, Virtual: []int{90}, Release: "12.8"}, "capability=[7.5,) version=12.8"},
		"garbage":              {bytes.Repeat([]byte("garbage!"), 20000), inspect.GPUCode{}, ""},
		"empty":                {make([]byte, 8), inspect.GPUCode{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := inspect.ReadProgram("bin/app", bytes.NewReader(withGPUCode(t, tt.section)))
			if err != nil || p.CUDA == nil || !reflect.DeepEqual(*p.CUDA, tt.want) {
				t.Fatalf("%+v, %v", p, err)
			}
			i := inspect.Contents{Programs: []inspect.Program{*p}}
			needs, _ := i.Needs(inspect.Options{})
			var got []string
			for _, a := range inspect.AttributesOf(needs) {
				if key, ok := strings.CutPrefix(a.Key, "hardware.gpu.cuda."); ok {
					got = append(got, strings.TrimPrefix(key, "compute_")+"="+a.Value)
				}
			}
			slices.Sort(got)
			if strings.Join(got, " ") != tt.needs {
				t.Errorf("needs %q, want %q", got, tt.needs)
			}
		})
	}
}
