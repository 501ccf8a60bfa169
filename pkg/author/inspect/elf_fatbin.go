package inspect

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/imagefit/imagefit/pkg/version"
)

// GPUCode is the code for NVIDIA's GPUs in a program.
type GPUCode struct {
	// Real are the GPUs that there is machine code for, and Virtual those of intermediate
	// code (PTX), which drivers compile for later GPUs too. 90 is compute capability 9.0.
	Real    []int `json:"real,omitempty"`
	Virtual []int `json:"virtual,omitempty"`
	// Release is the newest release of CUDA that the code is known to be of.
	Release string `json:"release,omitempty"`
}

// The containers of code for GPUs that nvcc puts into a program, one after the other,
// each with entries of a header and data.
const (
	fatbinMagic  = 0xba55ed50
	fatbinHead   = 16
	fatbinEntry  = 64
	fatbinPTX    = 1
	fatbinELF    = 2
	maxFatbins   = 50_000 // entries; cuBLAS has about 5,000
	maxFatbinGap = 4096   // between containers
)

// gpuCode reads the sections with code for GPUs; nil where there is none.
func (e *elfReader) gpuCode() *GPUCode {
	var code *GPUCode
	left := maxFatbins
	for _, s := range e.sections {
		if (s.name == ".nv_fatbin" || s.name == "__nv_relfatbin") && s.kind != elf.SHT_NOBITS {
			if code == nil {
				code = &GPUCode{}
			}
			e.fatbins(code, s, &left)
		}
	}
	if code != nil {
		slices.Sort(code.Real)
		slices.Sort(code.Virtual)
	}
	return code
}

// fatbins reads the containers of a section. What is damaged is left out.
func (e *elfReader) fatbins(code *GPUCode, s section, left *int) {
	gap := uint64(0)
	for at := uint64(0); at+fatbinHead <= s.size && gap <= maxFatbinGap && *left > 0; *left-- {
		head := e.bytes(s.offset+at, fatbinHead)
		if len(head) < fatbinHead {
			return
		}
		if binary.LittleEndian.Uint32(head) != fatbinMagic {
			at, gap = at+8, gap+8 // they are aligned
			continue
		}
		gap = 0
		begin, size := uint64(binary.LittleEndian.Uint16(head[6:])), binary.LittleEndian.Uint64(head[8:])
		if begin < fatbinHead || size > s.size {
			return
		}
		e.fatbin(code, s.offset+at+begin, min(size, s.size-at), left)
		at += begin + size
	}
}

// fatbin reads the entries of a container.
func (e *elfReader) fatbin(code *GPUCode, offset, size uint64, left *int) {
	for at := uint64(0); at+fatbinEntry <= size && *left > 0; *left-- {
		entry := e.bytes(offset+at, fatbinEntry)
		if len(entry) < fatbinEntry {
			return
		}
		u16, u32 := binary.LittleEndian.Uint16, binary.LittleEndian.Uint32
		head, data := uint64(u32(entry[4:])), binary.LittleEndian.Uint64(entry[8:])
		if head < fatbinEntry || head > 1<<16 || data > size {
			return
		}
		const least, most = 10, 300 // compute capability 1.0, and far beyond those of today
		if arch := int(u32(entry[28:])); arch >= least && arch <= most {
			switch u16(entry) {
			case fatbinPTX:
				code.Virtual = addOnce(code.Virtual, arch)
				code.of(cudaOfPTX(int(u16(entry[26:])), int(u16(entry[24:]))))
			case fatbinELF:
				code.Real = addOnce(code.Real, arch)
				code.of(cudaOfCubin(e.bytes(offset+at+head, 24)))
			}
		}
		at += head + data
	}
}

func addOnce(all []int, one int) []int {
	if slices.Contains(all, one) {
		return all
	}
	return append(all, one)
}

// of takes the release of a part of the code, if that is newer.
func (c *GPUCode) of(release string) {
	if order, ok := version.Compare(c.Release, release); release != "" && (c.Release == "" || ok && order < 0) {
		c.Release = release
	}
}

// cudaOfCubin is the release that machine code says that it is of, in the version of its
// ELF header: 128 is 12.8. Most is compressed and says nothing.
func cudaOfCubin(head []byte) string {
	if len(head) < 24 || string(head[:4]) != "\x7fELF" {
		return ""
	}
	const first, last = 100, 199
	if v := binary.LittleEndian.Uint32(head[20:]); v >= first && v <= last {
		return fmt.Sprintf("%d.%d", v/10, v%10)
	}
	return ""
}

// cudaOfPTX is the first release with a version of the intermediate code, by the release
// notes of PTX.
func cudaOfPTX(major, minor int) string {
	return map[[2]int]string{
		{6, 3}: "10.0", {6, 4}: "10.1", {6, 5}: "10.2",
		{7, 0}: "11.0", {7, 1}: "11.1", {7, 2}: "11.2", {7, 3}: "11.3", {7, 4}: "11.4", {7, 5}: "11.5", {7, 6}: "11.6",
		{7, 7}: "11.7", {7, 8}: "11.8", {8, 0}: "12.0", {8, 1}: "12.1", {8, 2}: "12.2", {8, 3}: "12.3", {8, 4}: "12.4",
		{8, 5}: "12.5", {8, 6}: "12.7", {8, 7}: "12.8", {8, 8}: "12.9", {9, 0}: "13.0",
	}[[2]int{major, minor}]
}

// capabilities are the compute capabilities that the code of programs runs on: from the
// least that any has code for, and up to the generation after the last where none has
// intermediate code. Machine code runs on the later GPUs of its generation.
func capabilities(all []*GPUCode) string {
	least, last, open := 0, 0, false
	for _, code := range all {
		for _, arch := range slices.Concat(code.Real, code.Virtual) {
			if least == 0 || arch < least {
				least = arch
			}
			last = max(last, arch)
		}
		open = open || len(code.Virtual) > 0
	}
	switch {
	case least == 0:
		return ""
	case open:
		return fmt.Sprintf("[%d.%d,)", least/10, least%10)
	}
	return fmt.Sprintf("[%d.%d,%d.0)", least/10, least%10, last/10+1)
}
