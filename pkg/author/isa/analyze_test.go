package isa

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

const (
	textAt     = 0x1000
	functionOf = 0x80 // bytes
	dataAt     = 0x9000
)

// assemble lays functions out, one after the other. Each is a list of what it does.
func assemble(t *testing.T, functions map[string]string, order ...string) Program {
	t.Helper()
	text := make([]byte, len(order)*functionOf)
	at := func(name string) uint64 {
		i := slices.Index(order, name)
		if i < 0 {
			t.Fatalf("no function %s", name)
		}
		return textAt + uint64(i)*functionOf
	}
	p := Program{Arch: "amd64", Entry: textAt, Names: map[uint64]string{}, IsVariable: func(a uint64) bool { return a >= dataAt }}
	for i, name := range order {
		var code []byte
		here := func() uint64 { return textAt + uint64(i)*functionOf + uint64(len(code)) }
		relative := func(opcode string, to uint64) {
			code = append(code, opcode...)
			code = binary.LittleEndian.AppendUint32(code, uint32(to-here()-4))
		}
		for op := range strings.SplitSeq(functions[name], ";") {
			words := strings.Fields(op)
			switch words[0] {
			case "call":
				relative("\xe8", at(words[1]))
			case "maybe":
				code = append(code, "\x74\x05"...) // je
				relative("\xe8", at(words[1]))
			case "lea":
				relative("\x48\x8d\x05", at(words[1]))
			case "jmp":
				relative("\xe9", at(words[1]))
			case "read":
				relative("\x8b\x05", dataAt)
			case "write":
				relative("\x89\x05", dataAt)
			case "pass":
				relative("\x48\x8d\x3d", dataAt)
			case "cpuid":
				code = append(code, "\x0f\xa2"...)
			case "avx":
				code = append(code, "\xc5\xf4\x58\xc2"...)
			case "popcnt":
				code = append(code, "\xf3\x48\x0f\xb8\xc1"...)
			case "aes":
				code = append(code, "\x66\x0f\x38\xdc\xc1"...)
			case "data":
				code = append(code, "\x06\xc5\xf4\x58\xc2"...)
			case "long":
				code = append(code, strings.Repeat("\x0f\xc8", 48)...) // bswap
			case "ret":
				code = append(code, 0xc3)
			}
		}
		for copy(text[i*functionOf:], code); len(code) < functionOf; {
			text[i*functionOf+len(code)] = 0x90
			code = append(code, 0x90)
		}
		p.Starts = append(p.Starts, at(name))
	}
	p.Text = []Region{{textAt, text}}
	return p
}

func required(p Program) string {
	var all []string
	for _, u := range Analyze(p) {
		if !u.Guarded {
			all = append(all, u.Extension)
		}
	}
	return strings.Join(all, " ")
}

// TestAnalyzeTellsWhatRunsOnAnyCPU: _start begins, and takes the address of main.
func TestAnalyzeTellsWhatRunsOnAnyCPU(t *testing.T) {
	t.Parallel()
	const start = "lea main; ret"
	for _, tt := range []struct {
		name      string
		functions map[string]string
		want      string
	}{
		{"plain", map[string]string{"main": "ret"}, ""},
		{"used", map[string]string{"main": "call f; ret", "f": "avx; popcnt; ret"}, "POPCNT AVX"},
		{"never called, but nothing looks at the CPU", map[string]string{"main": "ret", "f": "avx; ret"}, "AVX"},
		{"data among the code", map[string]string{"main": "ret", "f": "data; ret"}, ""},
		{"never called", map[string]string{"main": "call c; ret", "c": "cpuid; ret", "f": "avx; ret"}, ""},
		{"used beside a check elsewhere", map[string]string{"main": "call f; ret", "c": "cpuid; ret", "f": "avx; ret"}, "AVX"},
		{"in main", map[string]string{"main": "avx; ret", "c": "cpuid; ret"}, "AVX"},
		{"under a condition in main", map[string]string{"main": "maybe f; ret", "c": "cpuid; ret", "f": "avx; ret"}, "AVX"},
		{"two under conditions in main", map[string]string{"main": "maybe f; maybe h; ret", "c": "cpuid; ret", "f": "avx; ret", "h": "popcnt; ret"}, "POPCNT AVX"},
		{"in what main calls, after a call", map[string]string{"main": "call g; ret", "g": "call h; call f; ret", "h": "ret", "c": "cpuid; ret", "f": "avx; ret"}, "AVX"},
		{"in a main that looks at the CPU for others", map[string]string{"main": "avx; call c; ret", "c": "cpuid; long; ret"}, "AVX"},
		{"checked by main", map[string]string{"main": "call c; maybe f; ret", "c": "cpuid; long; ret", "f": "avx; ret"}, ""},
		{"checked in the function", map[string]string{"main": "call f; ret", "f": "cpuid; avx; ret"}, ""},
		{"checked by the caller", map[string]string{"main": "call g; ret", "g": "cpuid; maybe f; ret", "f": "avx; ret"}, ""},
		{"checked by what the caller calls", map[string]string{"main": "call g; ret", "g": "call c; maybe f; ret", "c": "cpuid; long; ret", "f": "avx; ret"}, ""},
		{"noted in a variable", map[string]string{"main": "call c; call g; ret", "c": "cpuid; write; long; ret", "g": "read; maybe f; ret", "f": "avx; ret"}, ""},
		{"noted after the check", map[string]string{"main": "call i; call g; ret", "i": "call c; write; long; ret", "c": "cpuid; long; ret", "g": "read; maybe f; ret", "f": "avx; ret"}, ""},
		{"noted where the caller says", map[string]string{"main": "call i; call g; ret", "i": "pass; call c; long; ret", "c": "cpuid; long; ret", "g": "read; maybe f; ret", "f": "avx; ret"}, ""},
		{"told by a small function", map[string]string{"main": "call c; call g; ret", "c": "cpuid; write; long; ret", "h": "read; ret", "g": "call h; maybe f; ret", "f": "avx; ret"}, ""},
		{"noted in memory of its own", map[string]string{"main": "call c; call g; ret", "c": "cpuid; long; ret", "g": "long; maybe f; ret", "f": "avx; ret"}, ""},
		{"through a plain function", map[string]string{"main": "call c; call g; ret", "c": "cpuid; long; ret", "g": "long; maybe h; ret", "h": "call f; ret", "f": "avx; ret"}, ""},
		{"chosen from", map[string]string{"main": "call g; ret", "c": "cpuid; ret", "g": "lea f; lea h; ret", "f": "avx; ret", "h": "popcnt; ret"}, ""},
	} {
		order := []string{"_start", "main"}
		tt.functions["_start"] = start
		for _, name := range []string{"c", "i", "g", "h", "f"} {
			if tt.functions[name] != "" {
				order = append(order, name)
			}
		}
		if got := required(assemble(t, tt.functions, order...)); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestAnalyzeTellsWhatALibraryLeavesToItsCallers(t *testing.T) {
	t.Parallel()
	functions := map[string]string{"a": "ret", "b": "ret", "c": "cpuid; ret", "d": "ret", "f": "avx; ret", "g": "aes; ret"}
	all := []string{"a", "b", "c", "d", "f", "g"}
	for _, tt := range []struct {
		name    string
		exports []string
		want    string
	}{
		{"not exported", []string{"a", "b"}, ""},
		{"one of many", []string{"a", "b", "c", "d", "f"}, ""},
		{"one of few", []string{"a", "f"}, "AVX"},
		{"for others to check", []string{"a", "g"}, ""},
	} {
		p := assemble(t, functions, all...)
		p.Entry, p.Library = 0, true
		for _, name := range tt.exports {
			p.Exports = append(p.Exports, textAt+uint64(slices.Index(all, name))*functionOf)
		}
		if got := required(p); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	p := assemble(t, map[string]string{"f": "avx; ret"}, "f")
	p.Library, p.Names = true, map[uint64]string{textAt: "sum_avx2"}
	if got := required(p); got != "" {
		t.Errorf("a function with a name for certain CPUs: %q", got)
	}
}

func TestAnalyzeTrustsTheLoader(t *testing.T) {
	t.Parallel()
	p := assemble(t, map[string]string{"_start": "lea main; ret", "main": "ret", "r": "lea f; long; ret", "f": "avx; ret"}, "_start", "main", "r", "f")
	p.Resolvers = []uint64{textAt + 2*functionOf}
	if got := required(p); got != "" {
		t.Errorf("%q", got)
	}
	p.Resolvers = nil
	if got := required(p); got != "AVX" {
		t.Errorf("without a resolver: %q", got)
	}
	p.Dispatches = true
	if got := required(p); got != "" {
		t.Errorf("of a program that is known to look at the CPU: %q", got)
	}
	if Analyze(Program{Arch: "s390x"}) != nil {
		t.Error("another architecture is known")
	}
}
