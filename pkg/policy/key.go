package policy

import (
	"reflect"
	"strings"
)

// Key is a key under [policy] that answers one case.
type Key struct {
	Name    string   // such as no_fit
	Case    string   // when the policy has to answer
	Answers []string // the values it takes
}

// Keys returns the keys that answer a case, in the order of Answers. The mode is
// not among them: it says what is done with the answers.
func Keys() []Key {
	var keys []Key
	for field := range reflect.TypeFor[Answers]().Fields() {
		if arises := field.Tag.Get("case"); arises != "" {
			keys = append(keys, Key{field.Tag.Get("toml"), arises, strings.Split(field.Tag.Get("words"), ",")})
		}
	}
	return keys
}

// Case is a case that arose and the answer that the policy gave.
type Case struct {
	Key    string `json:"key"`
	Answer string `json:"answer"`
}

// UnsignedMetadata is the case that metadata was ignored because no trusted key signed it.
// trust.metadata answers it.
func UnsignedMetadata() Case { return Case{"trust.metadata", "signed"} }

// String returns key=answer.
func (c Case) String() string { return c.Key + "=" + c.Answer }

// Arose says which cases arose. Its fields are named as those of Answers.
type Arose struct {
	NoArtifact, NoReferrersAPI, MalformedArtifact, TooCostly, UnknownAttribute, NoFit, RegistryError, UnknownName, ImageVerifier bool
}

// Cases returns the cases that arose with their answers, in the order of Arose.
func (a Answers) Cases(arose Arose) []Case {
	var cases []Case
	answers := reflect.ValueOf(a)
	for field, value := range reflect.ValueOf(arose).Fields() {
		if value.Bool() {
			key, _ := answers.Type().FieldByName(field.Name)
			cases = append(cases, Case{key.Tag.Get("toml"), answers.FieldByIndex(key.Index).String()})
		}
	}
	return cases
}
