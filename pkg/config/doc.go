// Package config puts the one configuration of cri-proxy, nri-plugin and imagefit
// together: defaults, config.toml, drop-ins, environment and command line, each
// over the one before it. It names every mistake by where it was made, and every
// value by its origin.
package config
