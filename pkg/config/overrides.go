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
func fromEnv(environ []string) []layer {
	keys, names := []string(nil), []string(nil)
	for key := range fields("", reflect.ValueOf(Default())) {
		keys = append(keys, key)
		names = append(names, envPrefix+strings.ToUpper(strings.ReplaceAll(key, ".", "_")))
	}
	service := regexp.MustCompile(`_SERVICE_(HOST|PORT(_.*)?)$|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$`)
	var layers []layer
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		at := slices.Index(names, name)
		switch {
		case at >= 0:
			layers = append(layers, override("env "+name, strings.Split(keys[at], "."), value))
		case !strings.HasPrefix(name, envPrefix):
		case service.MatchString(name): // Kubernetes sets these for a Service named imagefit
		default:
			layers = append(layers, layer{source: "env " + name, err: tomlerr.ParseError{
				Message: "no key has this variable" + tomlerr.Meant(textutil.Nearest(name, names)),
			}})
		}
	}
	return layers
}

// fromFlags makes a layer of each key=value.
func fromFlags(set []string) []layer {
	var layers []layer
	for _, assignment := range set {
		name, value, found := strings.Cut(assignment, "=")
		key, ok := tomlerr.OnlyKey(name + "=0")
		if !found || !ok {
			layers = append(layers, layer{source: "--set", err: tomlerr.ParseError{
				Message: fmt.Sprintf("%q is not key=value, such as policy.mode=audit", assignment),
			}})
			continue
		}
		layers = append(layers, override("--set "+tomlerr.Key(key), key, value))
	}
	return layers
}

// override makes a layer that gives a value to a key: texts need no quotes where the
// key wants one.
func override(source string, key []string, value string) layer {
	written := value
	if takesText(key) {
		written = tomlerr.Quote(value)
	}
	line := tomlerr.Key(key) + " = " + written
	if _, ok := tomlerr.OnlyKey(line); !ok { // more or less than one value
		return layer{source: source, err: tomlerr.ParseError{
			Key: tomlerr.Key(key), Message: fmt.Sprintf("%q is not one TOML value, such as 5, true or [\"a\"]", value),
		}}
	}
	return layer{source: source, text: []byte(line)}
}
