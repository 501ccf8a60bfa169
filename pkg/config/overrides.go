package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/tomlerr"
)

const envPrefix = "IMAGEFIT_"

// fromEnv makes a layer of each variable that is named after a key.
func fromEnv(environ []string) ([]layer, []error) {
	keys, names := []string(nil), []string(nil)
	for key := range fields("", reflect.ValueOf(Default())) {
		keys = append(keys, key)
		names = append(names, envPrefix+strings.ToUpper(strings.ReplaceAll(key, ".", "_")))
	}
	service := regexp.MustCompile(`_SERVICE_(HOST|PORT(_.*)?)$|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$`)
	var layers []layer
	var problems []error
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		at := slices.Index(names, name)
		switch {
		case at >= 0:
			layer, err := override("env "+name, strings.Split(keys[at], "."), value)
			layers, problems = append(layers, layer), append(problems, err)
		case !strings.HasPrefix(name, envPrefix):
		case service.MatchString(name): // Kubernetes sets these for a Service named imagefit
		default:
			problems = append(problems, Problem{Source: "env " + name, ParseError: tomlerr.ParseError{
				Message: "no key has this variable" + tomlerr.Meant(textutil.Nearest(name, names)),
			}})
		}
	}
	return layers, problems
}

// fromFlags makes a layer of each key=value.
func fromFlags(set []string) ([]layer, []error) {
	var layers []layer
	var problems []error
	for _, assignment := range set {
		name, value, found := strings.Cut(assignment, "=")
		key, ok := tomlerr.OnlyKey(name + "=0")
		if !found || !ok {
			problems = append(problems, Problem{Source: "--set", ParseError: tomlerr.ParseError{
				Message: fmt.Sprintf("%q is not key=value, such as policy.mode=audit", assignment),
			}})
			continue
		}
		layer, err := override("--set "+tomlerr.Key(key), key, value)
		layers, problems = append(layers, layer), append(problems, err)
	}
	return layers, problems
}

func override(source string, key []string, value string) (layer, error) {
	line, ok := toml(key, value)
	if !ok {
		return layer{source: source}, Problem{Source: source, ParseError: tomlerr.ParseError{
			Key: tomlerr.Key(key), Message: fmt.Sprintf("%q is not one TOML value, such as 5, true or [\"a\"]", value),
		}}
	}
	return layer{source: source, text: []byte(line)}, nil
}
