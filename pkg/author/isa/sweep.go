package isa

import (
	"slices"
	"sort"
)

// Bounds on what is looked at of one program. Real ones stay below.
const (
	maxCode  = 512 << 20
	maxUnits = 4 << 20
	maxEdges = 32 << 20
)

// Region is code at an address.
type Region struct {
	Address uint64
	Code    []byte
}

// Program is what the analysis knows of a program.
type Program struct {
	Arch string // as Go names it
	Text []Region
	// Starts are where functions begin, as far as known.
	Starts []uint64
	// Roots are the functions that run in any case: the entry, and those for the
	// beginning and the end.
	Entry uint64
	Roots []uint64
	// Exports are the functions that others may call.
	Exports []uint64
	// Resolvers are the functions by which the loader chooses others (IFUNC).
	Resolvers []uint64
	// Imports are the names behind the addresses of the global offset table.
	Imports map[uint64]string
	// Names are the names of functions, as far as known.
	Names map[uint64]string
	// Library says that other programs use it.
	Library bool
	// Dispatches says that the program looks at the CPU, wherever it does.
	Dispatches bool
	// IsVariable tells the addresses that code can write to.
	IsVariable func(address uint64) bool
}

// unit is a function, or a part of one that is called or jumped to.
type unit struct {
	start, end uint64
	extensions set
	damaged    bool        // has bytes that are no instructions
	checks     bool        // asks the CPU what it can do
	exclusive  bool        // Arm: has a loop for CPUs without atomic instructions
	targets    [3][]uint64 // addresses of other units, until they are linked
	surely     []int32     // units that are called and jumped to
	maybe      []int32     // the same under a condition
	taken      []int32     // units whose address is taken
	reads      []uint64
	writes     []write
}

// write is the address of a variable, and the function called before, or the one
// that the address is passed to.
type write struct {
	address, after uint64
	passed         bool
}

// sweeper decodes all code of a program, one instruction after the other.
type sweeper struct {
	Program
	units []unit
	edges int
}

type decoder func(code []byte, at uint64) (instruction, bool)

// sweep decodes in two passes: what is called in the first begins a unit in the
// second.
func (s *sweeper) sweep() {
	starts := slices.Concat(s.Starts, s.Roots, s.Exports, s.Resolvers, []uint64{s.Entry})
	for range 2 {
		slices.Sort(starts)
		starts = slices.Compact(starts)
		s.units, s.edges = nil, 0
		swept := 0
		var called []uint64
		for _, r := range s.Text {
			if swept += len(r.Code); swept > maxCode {
				break
			}
			called = append(called, s.region(r, starts)...)
		}
		starts = append(starts, called...)
	}
	slices.SortFunc(s.units, func(a, b unit) int {
		if a.start < b.start {
			return -1
		}
		return 1
	})
	for i := range s.units {
		u := &s.units[i]
		u.surely, u.maybe, u.taken = s.link(u.targets[0]), s.link(u.targets[1]), s.link(u.targets[2])
		u.targets = [3][]uint64{}
	}
}

// link returns the positions of the units at addresses.
func (s *sweeper) link(targets []uint64) []int32 {
	linked := make([]int32, 0, len(targets))
	for _, to := range targets {
		if i := s.at(to); i >= 0 {
			linked = append(linked, int32(i))
		}
	}
	return linked
}

func (s *sweeper) decoder() (decoder, int) {
	if s.Arch == "arm64" {
		return (&armDecoder{}).decode, 4
	}
	return decodeX86, 1
}

// scan is the state of the sweep within one unit.
type scan struct {
	unit
	decode decoder
	after  uint64   // the last function called
	passed []uint64 // variables whose address was taken since
	last   flow     // of the last instruction
	joins  uint64   // up to there, a branch may have led past
}

// region decodes one region and returns what it calls.
func (s *sweeper) region(r Region, starts []uint64) (called []uint64) {
	decode, least := s.decoder()
	next := sort.Search(len(starts), func(i int) bool { return starts[i] > r.Address })
	now := &scan{unit: unit{start: r.Address}, decode: decode}
	end := r.Address + uint64(len(r.Code))
	for at := r.Address; at < end; {
		limit := end
		if next < len(starts) && starts[next] < end {
			limit = starts[next]
		}
		if at >= limit {
			s.finish(now, limit)
			decode, _ = s.decoder()
			now, at = &scan{unit: unit{start: limit}, decode: decode}, limit
			next++
			continue
		}
		in, ok := now.decode(r.Code[at-r.Address:limit-r.Address], at)
		if !ok {
			now.damaged = true
			at += uint64(least)
			continue
		}
		s.note(now, in, at)
		if in.flow == call && in.target != 0 && len(called) < maxUnits {
			called = append(called, in.target)
		}
		at += uint64(in.length)
	}
	s.finish(now, end)
	return called
}

// note adds what an instruction does to the unit that it is in.
func (s *sweeper) note(now *scan, in instruction, at uint64) {
	now.extensions |= in.extensions
	now.checks = now.checks || in.checks
	now.exclusive = now.exclusive || in.exclusive
	conditional := at < now.joins || in.flow == branch
	switch {
	case in.padding:
		return
	case in.flow == branch && in.target > now.joins:
		now.joins = in.target
	case in.flow == stop || in.flow == jump:
		now.joins = ^uint64(0) // what follows is reached by a branch
	}
	now.last = in.flow
	if s.edges >= maxEdges {
		return
	}
	s.edges++
	switch {
	case in.target != 0 && conditional:
		now.targets[1] = append(now.targets[1], in.target)
	case in.target != 0:
		now.targets[0] = append(now.targets[0], in.target)
	case in.access == noAccess:
		s.edges--
	case in.access == writes && s.IsVariable(in.address):
		now.writes = append(now.writes, write{in.address, now.after, false})
	case in.access == takes && s.isCode(in.address):
		now.targets[2] = append(now.targets[2], in.address)
	case s.Imports[in.address] != "" || s.IsVariable(in.address):
		now.reads = append(now.reads, in.address)
		if in.access == takes {
			now.passed = append(now.passed, in.address)
		}
	}
	if in.flow == call {
		for _, address := range now.passed {
			now.writes = append(now.writes, write{address, in.target, true})
		}
		now.passed, now.after = now.passed[:0], in.target
	}
}

func (s *sweeper) isCode(address uint64) bool {
	return slices.ContainsFunc(s.Text, func(r Region) bool { return address >= r.Address && address-r.Address < uint64(len(r.Code)) })
}

// finish adds a unit, with what follows it where it does not end.
func (s *sweeper) finish(now *scan, end uint64) {
	now.end = end
	if now.last == onward || now.last == branch {
		now.targets[0] = append(now.targets[0], end)
	}
	for i := range now.targets {
		list := &now.targets[i]
		*list = slices.DeleteFunc(*list, func(target uint64) bool { return target >= now.start && target < end })
		slices.Sort(*list)
		*list = slices.Clip(slices.Compact(*list))
	}
	slices.Sort(now.reads)
	now.reads = slices.Clip(slices.Compact(now.reads))
	if now.end > now.start && len(s.units) < maxUnits {
		s.units = append(s.units, now.unit)
	}
}

// at returns the position of the unit that an address is in, or -1.
func (s *sweeper) at(address uint64) int {
	i := sort.Search(len(s.units), func(i int) bool { return s.units[i].start > address }) - 1
	if i >= 0 && address < s.units[i].end {
		return i
	}
	return -1
}
