//go:build !race

package hostfacts

const raceEnabled = false
