package config

import "reflect"

// RestartNeeded returns the keys that differ and that a running daemon cannot
// take up: those whose field, or the table they are in, is tagged restart.
func RestartNeeded(before, after Config) []string {
	return restartNeeded("", reflect.ValueOf(before), reflect.ValueOf(after), false)
}

func restartNeeded(prefix string, before, after reflect.Value, all bool) []string {
	var keys []string
	for field, value := range before.Fields() {
		key := prefix + field.Tag.Get("toml")
		other := after.FieldByIndex(field.Index)
		marked := all || field.Tag.Get("restart") != ""
		switch {
		case field.Anonymous: // its keys are those of the table that it is in
			keys = append(keys, restartNeeded(prefix, value, other, marked)...)
		case value.Kind() == reflect.Struct:
			keys = append(keys, restartNeeded(key+".", value, other, marked)...)
		case marked && !reflect.DeepEqual(value.Interface(), other.Interface()):
			keys = append(keys, key)
		}
	}
	return keys
}
