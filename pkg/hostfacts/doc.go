// Package hostfacts says what this node offers: the facts an image's
// requirements are held against.
//
// Facts carry the names of Node Feature Discovery (NFD): flag sets such as
// cpu.cpuid, attribute maps such as kernel.version, instance lists such as
// network.device. Every fact is in one of three states, and they are never
// mixed up: present, absent (looked, not there) and unknown (could not look,
// with the cause).
package hostfacts
