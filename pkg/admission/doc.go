// Package admission refuses to create containers whose image does not fit the
// node. It is an NRI plugin: the runtime asks it before every container, with
// or without the proxy in front.
//
// A hook looks up a verdict in memory, by the image id. Verdicts are evaluated by a
// worker: when something becomes known of an image, and again when facts, policy or
// requirements change. So a hook costs the same for every image, and uses neither disk
// nor network. If an older runtime does not identify the image of a container, the
// plugin asks it over CRI.
package admission
