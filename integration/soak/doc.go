// Package soak plays a node's life in fast motion on the real stack: pods come and go, tags move,
// registries fail and lie, facts change, daemons and the runtime are killed, disks fill, and a stranger
// does his worst. What must hold at any time is checked all along.
//
// Tenants (tenant.go) pull and run images of their own, a stranger (stranger.go) hostile ones. Meanwhile
// one fault after the other (faults*.go) begins and ends. The weather (weather.go) says what that lets
// fail, and nothing else may. In a calm (calm.go) everybody pauses, and the node must be as it was.
package soak
