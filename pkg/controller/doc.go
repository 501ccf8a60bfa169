// Package controller places pods in a Kubernetes cluster: it finds out what the images
// of gated pods need, adds node affinity that keeps them off nodes that none of the
// variants fits, prefers the nodes with the best variant, and removes the gate.
package controller
