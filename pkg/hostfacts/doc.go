// Package hostfacts collects what a node offers: the facts that requirements of
// images are evaluated against.
//
// Facts have the names of Node Feature Discovery (NFD): flag sets such as
// cpu.cpuid, attribute maps such as kernel.version, instance lists such as
// network.device. Every fact is present, absent (looked, and the node does not
// have it) or unknown (could not look, with the cause).
//
// Each collector declares its sets. To add one, write its file and declare it in
// collectors.go; lint, the documentation and the golden files follow with
// "go test ./pkg/hostfacts/... -update".
package hostfacts
