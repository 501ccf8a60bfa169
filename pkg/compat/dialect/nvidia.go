package dialect

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/compat"
	"github.com/imagefit/imagefit/pkg/compat/spec"
	"github.com/imagefit/imagefit/pkg/hostfacts/nvidia"
)

const (
	nvidiaPrefix  = "NVIDIA_REQUIRE_"
	nvidiaDisable = "NVIDIA_DISABLE_REQUIRE"
	maxNVIDIAText = 64 << 10
	maxNVIDIAWays = 1_000
)

// NVIDIARequirements returns what an image asks for by the variables that
// NVIDIA's container toolkit reads from its environment:
//
//	NVIDIA_REQUIRE_CUDA="cuda>=12.0 brand=tesla,driver>=450,driver<451"
//
// A space is OR, a comma AND; several variables all hold. A property that is
// not known here makes its alternative unclear: the toolkit leaves it out, so
// that the alternative asks for less. Variables about Jetpack are about
// another kind of node.
func NVIDIARequirements(env map[string]string) []compat.Requirement {
	if DisablesNVIDIA(env[nvidiaDisable]) {
		return nil
	}
	var reqs []compat.Requirement
	for _, name := range slices.Sorted(maps.Keys(env)) {
		isRequire := strings.HasPrefix(name, nvidiaPrefix) && !strings.HasPrefix(name, nvidiaPrefix+"JETPACK")
		if isRequire && strings.TrimSpace(env[name]) != "" {
			reqs = append(reqs, nvidiaVariable(name, env[name]))
		}
	}
	// An image of before the variables says its CUDA version alone.
	if _, isNew := env[nvidiaPrefix+"CUDA"]; !isNew && env["CUDA_VERSION"] != "" {
		reqs = append(reqs, nvidiaVariable("CUDA_VERSION", "cuda>="+nvidia.Release(strings.TrimSpace(env["CUDA_VERSION"]))))
	}
	return reqs
}

// NVIDIADisable is the variable by which an image or a pod turns all of them off.
const NVIDIADisable = nvidiaDisable

// DisablesNVIDIA reports whether a value of NVIDIADisable does so.
func DisablesNVIDIA(value string) bool {
	disabled, err := strconv.ParseBool(value)
	return err == nil && disabled
}

func nvidiaVariable(name, text string) compat.Requirement {
	req := compat.Requirement{Key: textutil.Short(name), Combine: compat.AnyOf, Each: &compat.Each{
		Devices: "gpu.device", Element: "vendor", Value: "nvidia", Set: "gpu.nvidia", Elements: []string{"brand", "compute_capability"},
	}}
	if len(text) > maxNVIDIAText {
		return compat.Requirement{Key: req.Key}.Unclearf("it is longer than %d bytes", maxNVIDIAText)
	}
	ways := strings.Fields(text)
	if len(ways) > maxNVIDIAWays {
		return compat.Requirement{Key: req.Key}.Unclearf("it has more than %d alternatives", maxNVIDIAWays)
	}
	for _, way := range ways {
		all := compat.Requirement{Key: textutil.Short(way), Combine: compat.AllOf}
		for condition := range strings.SplitSeq(way, ",") {
			all.Parts = append(all.Parts, nvidiaCondition(condition))
			if cuda, ok := strings.CutPrefix(condition, "cuda>="); ok && condition == way && req.Newer == nil {
				req.Newer = spec.NewerDriver(cuda)
			}
		}
		req.Parts = append(req.Parts, all)
	}
	return req
}

// nvidiaCondition reads one condition. Driver and CUDA are the same for all GPUs of a
// node; of what differs, the requirement is evaluated on each GPU.
func nvidiaCondition(text string) compat.Requirement {
	req := compat.Requirement{Key: textutil.Short(text), Set: "gpu.nvidia"}
	at := strings.IndexAny(text, "=!<>")
	if at < 0 {
		return req.Unclearf("%s is not a condition such as cuda>=12.0", textutil.Quote(text))
	}
	property := text[:at]
	value := strings.TrimLeft(text[at:], "=!<>")
	symbol := text[at : len(text)-len(value)]
	if property == "brand" {
		return brandCondition(req, symbol, value)
	}
	element, known := map[string]string{
		"cuda": "cuda_version", "driver": "driver_version", "arch": "compute_capability",
	}[property]
	if !known {
		return req.Unclearf("no fact tells the property %s of a GPU", textutil.Quote(property))
	}
	if err := spec.CheckVersion(value); err != nil {
		return req.Unclearf("%s", err)
	}
	ops := spec.OpsOf(symbol)
	if symbol == "!=" { // less or more
		either := compat.Requirement{Key: req.Key, Combine: compat.AnyOf}
		for _, op := range []compat.Op{compat.Lt, compat.Gt} {
			term := compat.Term{Element: element, Op: op, Values: []string{value}}
			either.Parts = append(either.Parts, compat.Requirement{Key: req.Key, Set: req.Set, Terms: []compat.Term{term}})
		}
		return either
	}
	if len(ops) == 0 {
		return req.Unclearf("%s is not one of = != < <= > >=", textutil.Quote(symbol))
	}
	for _, op := range ops {
		req.Terms = append(req.Terms, compat.Term{Element: element, Op: op, Values: []string{value}})
	}
	return req
}

// brandCondition compares the brand of a GPU.
func brandCondition(req compat.Requirement, symbol, value string) compat.Requirement {
	op, known := map[string]compat.Op{"=": compat.In, "!=": compat.NotIn}[symbol]
	if !known || value == "" {
		return req.Unclearf("%s is not a condition such as brand=tesla", textutil.Quote(req.Key))
	}
	req.Terms = []compat.Term{{Element: "brand", Op: op, Values: []string{strings.ToLower(value)}}}
	return req
}
