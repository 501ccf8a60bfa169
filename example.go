// Package imagefit holds what the programs bring along from the root of the
// repository.
package imagefit

import _ "embed" // for the example

// ConfigExample is config.toml.example: every key with its default.
//
//go:embed config.toml.example
var ConfigExample string
