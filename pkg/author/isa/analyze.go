package isa

import (
	"cmp"
	"fmt"
	"slices"
)

// Use is an extension that code uses.
type Use struct {
	// Extension is the CPU flag of NFD.
	Extension string `json:"extension"`
	// Guarded says that, as far as can be told, the program looks at the CPU first.
	Guarded bool `json:"guarded,omitempty"`
	// Functions is how many functions use it, and Where one of them.
	Functions int    `json:"functions"`
	Where     string `json:"where"`
}

// Knows reports whether the instructions of an architecture are known.
func Knows(arch string) bool { return arch == "amd64" || arch == "arm64" }

// Analyze returns the extensions that a program uses, in the order in which CPUs
// got them.
//
// A program that never looks at the CPU uses all of them unasked. In one that does,
// only those functions count that are surely reached from where the program begins,
// and not from a function that looks at the CPU, or at a variable that such a
// function has set. What is reached under a condition only may depend on the CPU, as
// where a program keeps what it has found in memory of its own.
func Analyze(p Program) []Use {
	if !Knows(p.Arch) {
		return nil
	}
	s := &sweeper{Program: p}
	s.sweep()
	return s.uses(newGraph(s).open())
}

// explicit are extensions that no compiler uses unless the source asks for them. A
// library that does leaves it to the caller to look at the CPU.
const explicit = 1<<AESNI | 1<<VAES | 1<<CLMUL | 1<<VPCLMULQDQ | 1<<GFNI | 1<<SHA | 1<<SM3 | 1<<SM4 | 1<<RDRAND | 1<<RDSEED |
	1<<AMXTILE | 1<<AMXINT8 | 1<<AMXBF16

// uses sums up; open are the positions of the units that run on any CPU.
func (s *sweeper) uses(open func(i int) bool) []Use {
	names := x86Names()
	if s.Arch == "arm64" {
		names = armNames()
	}
	all := make([]Use, len(names))
	for i := range s.units {
		u := &s.units[i]
		if u.damaged {
			continue // data among the code
		}
		unguarded := open(i)
		for e := range u.extensions.all() {
			use := &all[e]
			guarded := !unguarded || s.Library && s.Arch == "amd64" && explicit>>e&1 == 1
			if use.Functions == 0 || use.Guarded && !guarded {
				*use = Use{Guarded: guarded, Functions: use.Functions, Where: s.name(i)}
			}
			use.Functions++
		}
	}
	for e := range all {
		all[e].Extension = names[e]
	}
	all = slices.DeleteFunc(all, func(u Use) bool { return u.Functions == 0 })
	if len(all) == 0 {
		return nil
	}
	return slices.Clip(all)
}

func (s *sweeper) name(i int) string {
	return cmp.Or(s.Names[s.units[i].start], fmt.Sprintf("%#x", s.units[i].start))
}
