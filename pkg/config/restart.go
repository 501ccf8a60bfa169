package config

import "reflect"

// TakeUp returns what a running daemon takes up of a new configuration: the keys
// whose field, or the table they are in, is tagged restart stay as they are. Those
// of them that differ are waiting for a restart.
func TakeUp(running, fresh Config) (taken Config, waiting []string) {
	waiting = takeUp("", reflect.ValueOf(running), reflect.ValueOf(&fresh).Elem(), false)
	return fresh, waiting
}

func takeUp(prefix string, running, fresh reflect.Value, all bool) []string {
	var waiting []string
	for field, value := range running.Fields() {
		key := prefix + field.Tag.Get("toml")
		other := fresh.FieldByIndex(field.Index)
		marked := all || field.Tag.Get("restart") != ""
		switch {
		case field.Anonymous: // its keys are those of the table that it is in
			waiting = append(waiting, takeUp(prefix, value, other, marked)...)
		case value.Kind() == reflect.Struct:
			waiting = append(waiting, takeUp(key+".", value, other, marked)...)
		case marked && !reflect.DeepEqual(value.Interface(), other.Interface()):
			waiting = append(waiting, key)
			other.Set(value)
		}
	}
	return waiting
}
