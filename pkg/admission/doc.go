// Package admission refuses to create containers whose image does not fit the
// node. It is an NRI plugin: the runtime asks it before every container, with
// or without the proxy in front.
//
// Nothing in a hook touches the network: what an image asks for is on disk,
// the facts are in memory, and both are held against each other at that
// moment, so a driver upgrade or a lost module counts at once. An older runtime
// that does not say which image a container has is asked for it, on the node.
package admission
