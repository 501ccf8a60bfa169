// Package crio learns what the configuration of CRI-O means for images: where they are
// pulled from (registries.conf), which have to be signed (policy.json) and which are never
// removed.
package crio
