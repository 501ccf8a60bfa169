// Package containerd knows what the runtime's own configuration means for
// images: where registries are described, what it can unpack, and who else looks
// at what is pulled. The configuration is read as containerd reads it, imports
// and older versions included, and what the running runtime says of itself
// wins over the file. docs/runtime.md has the measurements behind it.
package containerd
