// Package admission refuses to create containers whose image does not fit the
// node. It is an NRI plugin: the runtime asks it before every container, with
// or without the proxy in front.
//
// A hook never uses the network. The requirements of an image are on disk, the
// facts in memory, and they are evaluated at that moment, so a driver upgrade or
// a missing module takes effect at once. If an older runtime does not identify the
// image of a container, the plugin asks it over CRI.
package admission
