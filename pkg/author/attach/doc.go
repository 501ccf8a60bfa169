// Package attach puts compatibility artifacts beside images in a registry, and
// shows which ones are there.
//
// An artifact is an OCI artifact manifest whose subject is a manifest of the
// image, or its index. [ReadImage] reads an image and [Image.Subject] picks what
// the artifact is to be about; [NewBody] reads a file as its dialect and
// names its types; [Pack] makes the manifest, and a [Target] pushes it and
// deletes what it replaces. [List] tells what is attached to each part of an
// image, and which of it applies.
//
// Pushing goes to the registry itself, never to a mirror.
package attach
