// Package facts models what is known of a node: facts under NFD's feature names,
// each present, absent or unknown, with their JSON, labels and fingerprint. It
// reads nothing itself; pkg/hostfacts collects facts.
package facts
