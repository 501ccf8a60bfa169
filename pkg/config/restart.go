package config

import "reflect"

// TakeUp returns what a running daemon applies of a new configuration: keys tagged
// restart, or in a table that is, stay as they are. Those of them that differ are
// waiting for a restart.
func TakeUp(running, fresh Config) (applied Config, waiting []string) {
	into := reflect.ValueOf(&fresh).Elem()
	for key, f := range fields("", reflect.ValueOf(running)) {
		other := into.FieldByIndex(f.index)
		if f.restart && !reflect.DeepEqual(f.value.Interface(), other.Interface()) {
			waiting = append(waiting, key)
			other.Set(f.value)
		}
	}
	return fresh, waiting
}
