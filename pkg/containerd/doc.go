// Package containerd reads what the runtime's own configuration means for images: where
// registries are configured, what is unpacked, and which verifiers check a pull. The
// configuration is read as containerd reads it, imports and older versions included, and
// what the running runtime reports takes precedence over the file. docs/runtime.md has the
// measurements behind it.
package containerd
