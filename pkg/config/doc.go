// Package config reads config.toml, the one file of cri-proxy, nri-plugin and
// imagefit.
package config
