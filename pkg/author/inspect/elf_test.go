package inspect_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/imagefit/imagefit/pkg/author/inspect"
	"github.com/imagefit/imagefit/pkg/version"
)

// program is what elfFile makes a program of.
type program struct {
	order       binary.ByteOrder
	wide        bool
	machine     elf.Machine
	kind        elf.Type
	needed      []string
	soname      string
	interpreter string
	versions    map[string][]string // by library
	level       int                 // in a GNU property; 0 for none
	goLevel     string              // GOAMD64
	code        string              // loaded at its offset in the file
	defined     []string            // versions that a library has
}

func amd64(p program) program {
	p.order, p.wide, p.machine, p.kind = binary.LittleEndian, true, elf.EM_X86_64, elf.ET_DYN
	return p
}

// elfFile lays a file out by hand: header, program headers, then the parts. All
// of it is loaded at address 0x10000.
func elfFile(p program) []byte {
	const base = 0x10000
	f := &builder{program: p, strings: []byte{0}}
	if f.machine == 0 {
		f.program = amd64(p)
	}
	headers := 64 + 6*56
	f.body = make([]byte, headers)
	var segments []elf.Prog64
	add := func(kind elf.ProgType, part []byte) uint64 {
		for len(f.body)%16 != 0 {
			f.body = append(f.body, 0)
		}
		at := uint64(len(f.body))
		f.body = append(f.body, part...)
		segments = append(segments, elf.Prog64{Type: uint32(kind), Off: at, Vaddr: base + at, Filesz: uint64(len(part))})
		return at
	}
	if p.interpreter != "" {
		add(elf.PT_INTERP, append([]byte(p.interpreter), 0))
	}
	if p.level > 0 {
		add(elf.PT_NOTE, f.property())
	}
	var entries [][2]uint64
	for _, name := range p.needed {
		entries = append(entries, [2]uint64{uint64(elf.DT_NEEDED), f.text(name)})
	}
	if p.soname != "" {
		entries = append(entries, [2]uint64{uint64(elf.DT_SONAME), f.text(p.soname)})
	}
	if len(p.versions) > 0 {
		at := add(elf.PT_NULL, f.verneed())
		entries = append(entries, [2]uint64{0x6ffffffe, base + at}, [2]uint64{0x6fffffff, uint64(len(p.versions))})
	}
	if len(p.defined) > 0 {
		at := add(elf.PT_NULL, f.verdef())
		entries = append(entries, [2]uint64{0x6ffffffc, base + at}, [2]uint64{0x6ffffffd, uint64(len(p.defined))})
	}
	entries = append(entries, [2]uint64{uint64(elf.DT_STRTAB), base + add(elf.PT_NULL, f.strings)}, [2]uint64{})
	var dynamic []byte
	for _, e := range entries {
		dynamic = f.word(f.word(dynamic, e[0]), e[1])
	}
	add(elf.PT_DYNAMIC, dynamic)
	if p.code != "" {
		at := add(elf.PT_NULL, []byte(p.code))
		segments = append(segments, elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_X), Off: at, Vaddr: at, Filesz: uint64(len(p.code))})
	}
	if p.goLevel != "" {
		data := append([]byte("\xff Go buildinf:\x08\x02"), make([]byte, 16)...)
		at := add(elf.PT_NULL, append(data, "\xff\x010w\xaf\nbuild\tGOARCH=amd64\nbuild\tGOAMD64="+p.goLevel+"\n"...))
		segments = append(segments, elf.Prog64{Type: uint32(elf.PT_LOAD), Off: at, Vaddr: 0x900000, Filesz: uint64(len(f.body)) - at})
	}
	segments = slices.DeleteFunc(segments, func(s elf.Prog64) bool { return s.Type == uint32(elf.PT_NULL) })
	f.header(append(segments, elf.Prog64{Type: uint32(elf.PT_LOAD), Vaddr: base, Filesz: uint64(len(f.body))}))
	return f.body
}

type builder struct {
	program
	body, strings []byte
}

func (f *builder) text(s string) uint64 {
	at := len(f.strings)
	f.strings = append(append(f.strings, s...), 0)
	return uint64(at)
}

func (f *builder) word(b []byte, v uint64) []byte {
	if f.wide {
		return f.order.(binary.AppendByteOrder).AppendUint64(b, v)
	}
	return f.order.(binary.AppendByteOrder).AppendUint32(b, uint32(v))
}

func (f *builder) words32(values ...uint32) []byte {
	var b []byte
	for _, v := range values {
		b = f.order.(binary.AppendByteOrder).AppendUint32(b, v)
	}
	return b
}

// property is a note with two properties: that of branch protection, and the
// levels up to the one that is needed.
func (f *builder) property() []byte {
	bits := uint32(1)<<f.level - 1
	return slices.Concat(f.words32(4, 32, 5), []byte("GNU\x00"),
		f.words32(0xc0000002, 4, 3, 0), f.words32(0xc0008002, 4, bits, 0))
}

func (f *builder) verneed() []byte {
	var b []byte
	libraries := make([]string, 0, len(f.versions))
	for name := range f.versions {
		libraries = append(libraries, name)
	}
	slices.Sort(libraries)
	for i, library := range libraries {
		names := f.versions[library]
		next := uint32(16 + 16*len(names))
		if i == len(libraries)-1 {
			next = 0
		}
		b = f.order.(binary.AppendByteOrder).AppendUint16(b, 1)
		b = f.order.(binary.AppendByteOrder).AppendUint16(b, uint16(len(names)))
		b = append(b, f.words32(uint32(f.text(library)), 16, next)...)
		for j, name := range names {
			after := uint32(16)
			if j == len(names)-1 {
				after = 0
			}
			b = append(b, f.words32(0, 0, uint32(f.text(name)), after)...)
		}
	}
	return b
}

func (f *builder) verdef() []byte {
	var b []byte
	for i, name := range f.defined {
		next := uint32(28)
		if i == len(f.defined)-1 {
			next = 0
		}
		b = append(b, 1, 0, 0, 0, byte(i+1), 0, 1, 0)
		b = append(b, f.words32(0, 20, next, uint32(f.text(name)), 0)...)
	}
	return b
}

func (f *builder) header(segments []elf.Prog64) {
	var head bytes.Buffer
	ident := [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1}
	if f.order == binary.BigEndian {
		ident[elf.EI_DATA] = byte(elf.ELFDATA2MSB)
	}
	if !f.wide {
		ident[elf.EI_CLASS] = byte(elf.ELFCLASS32)
	}
	put := func(v any) {
		if err := binary.Write(&head, f.order, v); err != nil {
			panic(err)
		}
	}
	if f.wide {
		put(elf.Header64{Ident: ident, Type: uint16(f.kind), Machine: uint16(f.machine), Phoff: 64, Phentsize: 56, Phnum: uint16(len(segments))})
	} else {
		put(elf.Header32{Ident: ident, Type: uint16(f.kind), Machine: uint16(f.machine), Phoff: 52, Phentsize: 32, Phnum: uint16(len(segments))})
	}
	for _, s := range segments {
		if f.wide {
			put(s)
		} else {
			put(elf.Prog32{Type: s.Type, Flags: s.Flags, Off: uint32(s.Off), Vaddr: uint32(s.Vaddr), Filesz: uint32(s.Filesz)})
		}
	}
	copy(f.body, head.Bytes())
}

func TestReadProgramFindsWhatItNeeds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		file program
		want inspect.Program
	}{
		{"nothing noted", program{}, inspect.Program{Arch: "amd64", Library: true}},
		{
			"a program",
			program{
				interpreter: "/lib64/ld-linux-x86-64.so.2", needed: []string{"libm.so.6", "libc.so.6"},
				versions: map[string][]string{"libc.so.6": {"GLIBC_2.4", "GLIBC_2.34", "GLIBC_PRIVATE", "GLIBC_2.9"}, "libm.so.6": {"GLIBC_2.29"}},
			},
			inspect.Program{Arch: "amd64", Interpreter: "/lib64/ld-linux-x86-64.so.2", Needed: []string{"libm.so.6", "libc.so.6"}, GlibC: "2.34"},
		},
		{"versions of others", program{versions: map[string][]string{"libstdc++.so.6": {"GLIBCXX_3.4.29", "CXXABI_1.3"}}}, inspect.Program{Arch: "amd64", Library: true}},
		{"a library", program{soname: "libx.so.1"}, inspect.Program{Arch: "amd64", Library: true, Soname: "libx.so.1"}},
		{"level 1", program{level: 1}, inspect.Program{Arch: "amd64", Library: true, Level: 1}},
		{"level 3", program{level: 3}, inspect.Program{Arch: "amd64", Library: true, Level: 3}},
		{"level 4", program{level: 4}, inspect.Program{Arch: "amd64", Library: true, Level: 4}},
		{"Go", program{goLevel: "v3"}, inspect.Program{Arch: "amd64", Library: true, Level: 3}},
		{"Go and a property", program{goLevel: "v2", level: 4}, inspect.Program{Arch: "amd64", Library: true, Level: 4}},
		{
			"a level on another architecture",
			program{order: binary.LittleEndian, wide: true, machine: elf.EM_AARCH64, kind: elf.ET_EXEC, level: 3},
			inspect.Program{Arch: "arm64", Library: true},
		},
		{
			"32 bits",
			program{order: binary.LittleEndian, machine: elf.EM_386, kind: elf.ET_EXEC, needed: []string{"libc.so.6"}, versions: map[string][]string{"libc.so.6": {"GLIBC_2.0"}}},
			inspect.Program{Arch: "386", Library: true, Needed: []string{"libc.so.6"}, GlibC: "2.0"},
		},
		{
			"the other byte order",
			program{order: binary.BigEndian, wide: true, machine: elf.EM_S390, kind: elf.ET_DYN, needed: []string{"libc.so.6"}, versions: map[string][]string{"libc.so.6": {"GLIBC_2.38"}}},
			inspect.Program{Arch: "s390x", Library: true, Needed: []string{"libc.so.6"}, GlibC: "2.38"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := inspect.ReadProgram("", bytes.NewReader(elfFile(tt.file)))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(*got, tt.want) {
				t.Errorf("%+v, want %+v", *got, tt.want)
			}
		})
	}
}

func TestReadProgramRefusesOtherFiles(t *testing.T) {
	t.Parallel()
	object := amd64(program{})
	object.kind = elf.ET_REL
	for name, body := range map[string][]byte{
		"empty": nil, "text": []byte("#!/bin/sh\n"), "short": []byte("\x7fELF\x02\x01"), "object": elfFile(object),
	} {
		if p, err := inspect.ReadProgram(name, bytes.NewReader(body)); err == nil {
			t.Errorf("%s is read: %+v", name, p)
		}
	}
}

// TestReadProgramAgreesWithDebugElf holds real files of this machine against
// debug/elf.
func TestReadProgramAgreesWithDebugElf(t *testing.T) {
	t.Parallel()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{own, "/bin/sh", "/bin/ls", "/usr/bin/env"} {
		file, err := elf.Open(name)
		if err != nil {
			continue // not Linux, or not there
		}
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := inspect.ReadProgram(name, f)
		if err != nil {
			t.Fatal(err)
		}
		needed, err := file.ImportedLibraries()
		if err != nil || !slices.Equal(got.Needed, needed) {
			t.Errorf("%s needs %q, by debug/elf %q, %v", name, got.Needed, needed, err)
		}
		symbols, err := file.DynamicSymbols()
		newest := "0"
		for _, s := range symbols {
			number, ok := bytes.CutPrefix([]byte(s.Version), []byte("GLIBC_"))
			if c, both := version.Compare(newest, string(number)); ok && both && c < 0 {
				newest = string(number)
			}
		}
		if err == nil && newest != "0" && got.GlibC != newest {
			t.Errorf("%s needs glibc %s, by debug/elf %s", name, got.GlibC, newest)
		}
		_, _ = f.Close(), file.Close()
	}
}

func FuzzReadProgram(f *testing.F) {
	f.Add(elfFile(program{level: 3, goLevel: "v2", needed: []string{"libc.so.6"}, soname: "x", versions: map[string][]string{"libc.so.6": {"GLIBC_2.34"}}}))
	f.Add(elfFile(program{order: binary.BigEndian, machine: elf.EM_PPC, kind: elf.ET_EXEC, needed: []string{"a"}}))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := inspect.ReadProgram("f", bytes.NewReader(body))
		if err != nil {
			return
		}
		if p.Level < 0 || p.Level > 4 || len(p.Needed) > 1024 {
			t.Errorf("%+v", p)
		}
		if _, ok := version.Parse(p.GlibC); p.GlibC != "" && !ok {
			t.Errorf("glibc %q", p.GlibC)
		}
	})
}
