// Package metrics counts what a daemon does, for Prometheus. Labels take only
// words that stand in the code: never a reference, digest, host or pod.
package metrics
