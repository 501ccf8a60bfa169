// Package metrics exports what a daemon does to Prometheus. Label values are
// constants of the code: never a reference, digest, host or pod.
package metrics
