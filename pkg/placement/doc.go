// Package placement tells where images can run: many images on many classes of nodes,
// evaluated as a pull on each of them. Schedulers are told so in their own words by the
// packages below it.
//
// Who asks gathers each image once (decision.Resolver.Gather, or a catalog's copy of
// that), takes the classes of the nodes (nodeclass.Of) in the dimensions that the images
// ask for (Evaluator.Dimensions), and calls Match. Nothing here reads a registry.
package placement
