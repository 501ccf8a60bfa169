package inspect

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/author/isa"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/facts"
)

// flagUse is a CPU flag and what uses it.
type flagUse struct {
	name      string
	by, where string
	programs  int
}

// cpuNeeds asks for the level that a program says it needs, which its loader or
// its runtime checks when it starts, and for the flags of the instructions that are
// in its code. The architecture is not asked for: the platform of the image says it.
func (i *Contents) cpuNeeds(a *answer) {
	level, by := 0, ""
	var used, guarded []flagUse
	unread := ""
	linked := i.linked(func(p Program) bool { return !p.Library || isModule(p) })
	for n, p := range i.Programs {
		if p.Arch != "" && !isa.Knows(p.Arch) && unread == "" {
			unread = p.Arch
			a.add(Need{}, fmt.Sprintf("cpu: the code of %s is for %s, whose instructions are not looked at; require the CPU that it is compiled for", p.Path, p.Arch))
		}
		if isVariant(p) {
			if len(p.Uses) > 0 {
				a.add(Need{}, fmt.Sprintf("cpu: %s is for certain CPUs by its name, so it asks for nothing", p.Path))
			}
			continue
		}
		if !linked[n] {
			a.add(Need{}, loaded(p))
			continue
		}
		if p.Level > level {
			level, by = p.Level, p.Path
		}
		for _, u := range p.Uses {
			if u.Guarded {
				guarded = note(guarded, u.Extension, p.Path, u.Where)
			} else {
				used = note(used, u.Extension, p.Path, u.Where)
			}
		}
	}
	stated := i.level()
	if level > max(stated, 1) {
		a.add(targetNeed(fmt.Sprintf("x86_64_v%d", level), fmt.Sprintf("%s is built for x86-64-v%d, and checks it when it starts", by, level)), "")
	}
	used = slices.DeleteFunc(used, func(f flagUse) bool {
		of := facts.X86LevelOfFlag(f.name)
		return of > 0 && of <= max(stated, level)
	})
	a.add(flagsNeed(used), "")
	guarded = slices.DeleteFunc(guarded, func(f flagUse) bool {
		return slices.ContainsFunc(used, func(u flagUse) bool { return u.name == f.name })
	})
	if len(guarded) > 0 {
		a.add(Need{}, fmt.Sprintf("cpu: %s are used as well, but only after a look at the CPU, as far as can be told (first in %s); they are not required",
			flagNames(guarded), guarded[0].by))
	}
}

// loaded says what a library uses that no program is linked to: what loads it may
// look at the CPU before, as Java does.
func loaded(p Program) string {
	var names []string
	for _, u := range p.Uses {
		if !u.Guarded {
			names = append(names, u.Extension)
		}
	}
	if len(names) == 0 && p.Level < 2 {
		return ""
	}
	if p.Level > 1 {
		names = append(names, fmt.Sprintf("x86-64-v%d", p.Level))
	}
	return fmt.Sprintf("cpu: %s uses %s, but no program is linked to it, so it may be opened only where the CPU has it; "+
		"if the image cannot run without, require it", p.Path, strings.Join(names, ", "))
}

// isModule reports a module of Python, which programs load without a look at the CPU.
func isModule(p Program) bool {
	name := path.Base(p.Path)
	return strings.Contains(name, ".cpython-") || strings.HasSuffix(name, ".abi3.so")
}

// level is the x86-64 level that the platform of the image states.
func (i *Contents) level() int {
	var level int
	if _, err := fmt.Sscanf(i.Platform, "linux/amd64/v%d", &level); err != nil || level > facts.X86MaxLevel {
		return 0
	}
	return level
}

func note(uses []flagUse, name, by, where string) []flagUse {
	if at := slices.IndexFunc(uses, func(f flagUse) bool { return f.name == name }); at >= 0 {
		uses[at].programs++
		return uses
	}
	return append(uses, flagUse{name: name, by: by, where: where, programs: 1})
}

func flagNames(uses []flagUse) string {
	names := make([]string, len(uses))
	for i, f := range uses {
		names[i] = f.name
	}
	return strings.Join(names, ", ")
}

// flagsNeed asks for flags, and says which x86-64 level has them all.
func flagsNeed(used []flagUse) Need {
	if len(used) == 0 {
		return Need{}
	}
	var n Need
	var users []string
	uses := map[string][]string{}
	level, beyond := 0, false
	for _, f := range used {
		flag := attributeTo("nfd", "cpu-cpuid."+f.name, "true")
		flag.Kind = compat.Bool
		n.Attributes = append(n.Attributes, flag)
		if uses[f.by] == nil {
			users = append(users, f.by)
		}
		uses[f.by] = append(uses[f.by], f.name+" (in "+textutil.Short(f.where)+")")
		of := facts.X86LevelOfFlag(f.name)
		level, beyond = max(level, of), beyond || of == 0
	}
	for i, by := range users {
		if i > 0 {
			n.Because += "; "
		}
		n.Because += by + " uses " + strings.Join(uses[by], ", ")
	}
	if level > 1 {
		n.Because += fmt.Sprintf("; the least level with them is x86-64-v%d", level)
		if beyond {
			n.Because += ", with more than it has"
		}
	}
	return n
}

// isVariant reports a library that is one of several for different CPUs, of which the
// loader or the program chooses: by its folder, or by the end of its name, as in
// libggml-cpu-haswell.so and libfoo_avx2.so.1.
func isVariant(p Program) bool {
	if strings.Contains(p.Path, "glibc-hwcaps/") {
		return true
	}
	name, _, _ := strings.Cut(strings.ToLower(path.Base(p.Path)), ".so")
	words := strings.FieldsFunc(name, func(r rune) bool { return r == '-' || r == '_' || r == '.' })
	return p.Library && len(words) > 1 && slices.Contains(variantNames(), words[len(words)-1])
}

func variantNames() []string {
	return []string{
		"sse3", "ssse3", "sse4", "sse41", "sse42", "avx", "avx2", "avx512", "avx512f", "avx512bw", "fma", "fma3", "fma4", "haswell", "skylake",
		"skylakex", "sandybridge", "ivybridge", "nehalem", "westmere", "icelake", "alderlake", "cascadelake", "cooperlake", "sapphirerapids",
		"zen", "zen2", "zen3", "zen4", "zen5", "piledriver", "bulldozer", "hwaes", "neon", "sve", "sve2", "lse",
	}
}
