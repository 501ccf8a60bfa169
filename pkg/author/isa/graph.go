package isa

import (
	"slices"
	"strings"
)

// graph is how units reach each other.
type graph struct {
	*sweeper
	checkers []bool // ask the CPU, or return what one that does has found
	guards   []bool // decide by what a checker has found
	special  []bool // use extensions, or surely lead to what does
	any      bool   // something asks the CPU
	entry    int
	mains    []int32 // what the entry starts
}

const (
	small   = 96 // bytes of a function that only returns what another has found
	nearby  = 64 // bytes of a variable with what was found
	several = 2  // functions whose addresses are taken to choose among them
	enough  = 4  // one of so many exported functions, where all code is for certain CPUs
)

func newGraph(s *sweeper) *graph {
	g := &graph{sweeper: s, any: s.Dispatches, entry: s.at(s.Entry)}
	n := len(s.units)
	g.checkers, g.guards, g.special = make([]bool, n), make([]bool, n), make([]bool, n)
	asking := map[uint64]bool{}
	for at, name := range s.Imports {
		asking[at] = has(name, checkNames())
	}
	for i := range s.units {
		u := &s.units[i]
		imports := slices.ContainsFunc(u.reads, func(at uint64) bool { return asking[at] })
		g.checkers[i] = u.checks && !u.damaged || imports || has(s.Names[u.start], checkNames())
		g.any = g.any || g.checkers[i]
	}
	for _, at := range s.Resolvers {
		if i := s.at(at); i >= 0 {
			g.guards[i], g.any = true, true
		}
	}
	if g.entry >= 0 {
		g.mains = s.units[g.entry].taken
	}
	if g.any {
		g.mark()
		g.spread()
	}
	return g
}

// has reports whether a name has one of the parts, which are in lower case.
func has(name string, parts []string) bool {
	if name == "" {
		return false
	}
	name = strings.ToLower(name)
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(name, part) })
}

// checkNames are parts of the names of functions that tell what the CPU can do.
func checkNames() []string {
	return []string{
		"cpuid", "cpu_id", "cpuflag", "cpu_flag", "cpufeature", "cpu_feature", "cpu_support", "cpusupport", "cpu_cap", "cpucap", "cpuinfo",
		"cpu_info", "cpu_detect", "cpudetect", "cpu_indicator", "cpu_has", "cpuhas", "detect_cpu", "detectcpu", "getauxval", "xgetbv", "have_lse",
		"hwcap", "ia32cap", "instrset_detect", "simd_level", "simd_support", "has_avx", "have_avx", "supports_avx", "has_sse", "have_sse",
		"supports_sse", "has_neon", "have_neon", "has_sve", "hassse", "hasavx", "has_popcnt", "has_bmi", "has_aes", "have_aes", "has_asm", "supportedtargets", "chosentarget",
	}
}

// variantNames are parts of the names of functions that are for certain CPUs.
// _ZGV and _ITM_ begin the names of vector functions of the x86-64 ABI, and of
// transactional memory.
func variantNames() []string {
	return []string{
		"sse3", "sse4", "avx", "_fma", "fma3", "fma4", "haswell", "skylake", "icelake", "westmere", "sandybridge", "nehalem", "_zen", "bulldozer",
		"piledriver", "steamroller", "excavator", "barcelona", "cooperlake", "sapphirerapids", "penryn", "popcnt", "bmi1", "bmi2", "aesni", "aes_ni",
		"aes_hw", "aes256gcm", "pclmul", "vaes", "gfni", "_adx", "shaext", "sha_ni", "sha_hw", "_xop", "f16c", "x86_64_v", "evex", "neoverse",
		"_sve", "_lse", "armv8", "_zgvb", "_zgvc", "_zgvd", "_zgve", "_zgvn", "_zgvs", "_itm_",
	}
}

// mark finds what is special, and what takes the addresses of several special
// functions, which chooses among them.
func (g *graph) mark() {
	callers := make([][]int32, len(g.units))
	var queue []int32
	for i := range g.units {
		for _, to := range g.units[i].surely {
			callers[to] = append(callers[to], int32(i))
		}
		if g.units[i].extensions != 0 {
			g.special[i] = true
			queue = append(queue, int32(i))
		}
	}
	for len(queue) > 0 {
		i := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		for _, from := range callers[i] {
			if !g.special[from] {
				g.special[from] = true
				queue = append(queue, from)
			}
		}
	}
	for i := range g.units {
		n := 0
		for _, to := range g.units[i].taken {
			if g.units[to].extensions != 0 {
				n++
			}
		}
		if n >= several && g.units[i].extensions == 0 && !g.isBegin(i) {
			g.guards[i] = true
		}
	}
}

// spread finds the guards: what calls a checker, and what reads a variable that a
// checker has set, that was set right after one was called, or that was passed to
// one. A small guard tells others, and so does what calls a small checker.
func (g *graph) spread() {
	const rounds = 4
	for range rounds {
		tainted := g.tainted()
		changed := false
		for i := range g.units {
			u := &g.units[i]
			calls, wraps := g.callsChecker(u.surely)
			maybeCalls, maybeWraps := g.callsChecker(u.maybe)
			g.guards[i] = g.guards[i] || g.checkers[i] || u.exclusive || calls || maybeCalls ||
				slices.ContainsFunc(u.reads, func(at uint64) bool { return tainted[at] })
			if g.isBegin(i) {
				g.guards[i] = false
			}
			if g.guards[i] && !g.checkers[i] && u.extensions == 0 && (u.end-u.start <= small || wraps || maybeWraps) {
				g.checkers[i], changed = true, true
			}
		}
		if !changed {
			return
		}
	}
}

// isBegin reports the entry, and a main function that uses extensions itself: it runs
// whatever it finds out.
func (g *graph) isBegin(i int) bool {
	return i == g.entry || g.units[i].extensions != 0 && slices.Contains(g.mains, int32(i))
}

// callsChecker reports whether one of the units is a checker, and whether it is a
// small one that does nothing but ask the CPU.
func (g *graph) callsChecker(units []int32) (calls, wraps bool) {
	for _, i := range units {
		u := &g.units[i]
		calls = calls || g.checkers[i]
		wraps = wraps || g.checkers[i] && u.checks && u.end-u.start <= small
	}
	return calls, wraps
}

// tainted are the addresses of variables with what checkers have found: of one that
// is passed to a checker, the parts as well.
func (g *graph) tainted() map[uint64]bool {
	const word = 4
	tainted := map[uint64]bool{}
	for i := range g.units {
		for _, w := range g.units[i].writes {
			after := -1
			if w.after != 0 && (w.passed || !g.checkers[i]) {
				after = g.at(w.after)
			}
			switch told := after >= 0 && g.checkers[after]; {
			case w.passed && told:
				for offset := uint64(0); offset < nearby; offset += word {
					tainted[w.address+offset] = true
				}
			case !w.passed && (told || g.checkers[i]):
				tainted[w.address] = true
			}
		}
	}
	return tainted
}

// open returns which units run on any CPU.
func (g *graph) open() func(i int) bool {
	if !g.any {
		return func(i int) bool { return !g.Library || !has(g.Names[g.units[i].start], variantNames()) }
	}
	reached := make([]bool, len(g.units))
	var queue []int32
	add := func(i int32) {
		if !reached[i] {
			reached[i] = true
			queue = append(queue, i)
		}
	}
	for _, i := range g.roots() {
		add(i)
	}
	for len(queue) > 0 {
		i := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		u := &g.units[i]
		guard := g.guards[i]
		for _, to := range u.surely {
			if !guard || !g.special[to] {
				add(to)
			}
		}
		freely := slices.Contains(g.mains, i) || int(i) == g.entry || u.extensions != 0
		for _, to := range slices.Concat(u.maybe, u.taken) {
			if !guard && (freely || !g.special[to]) {
				add(to)
			}
		}
	}
	return func(i int) bool { return reached[i] && !g.guards[i] }
}

// roots returns what others run. Where only some exported functions are special, it
// is for the caller to ask before.
func (g *graph) roots() (roots []int32) {
	var special []int32
	add := func(address uint64, exported bool) {
		i := g.at(address)
		switch {
		case i < 0 || exported && g.special[i] && has(g.Names[address], variantNames()):
		case exported && g.special[i]:
			special = append(special, int32(i))
		default:
			roots = append(roots, int32(i))
		}
	}
	add(g.Entry, false)
	for _, at := range g.Roots {
		add(at, false)
	}
	for _, at := range g.Exports {
		add(at, true)
	}
	if len(special)*enough >= len(g.Exports) {
		roots = append(roots, special...)
	}
	return roots
}
