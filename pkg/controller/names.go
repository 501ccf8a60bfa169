package controller

import "github.com/imagefit/imagefit/pkg/nodeclass"

// The names under which the controller and the cluster know each other.
const (
	// Gate is the scheduling gate that the admission policy adds to pods.
	Gate = "imagefit.dev/variant"
	// ClassLabel is the label of nodes with their class.
	ClassLabel = nodeclass.Label
	// Condition is the pod condition that tells why a pod may not run anywhere.
	Condition = "imagefit.dev/Fits"
	// placedAnnotation is on every pod that the controller has placed, with what came of it.
	placedAnnotation = "imagefit.dev/placed"
	// Program names the controller in metrics, events and to registries.
	Program = "imagefit-controller"

	archLabel = "kubernetes.io/arch"
	osLabel   = "kubernetes.io/os"
)

// The reasons of events and conditions.
const (
	reasonPlaced    = "ImagefitPlaced"     // affinity was added, or nothing had to be
	reasonNoneFits  = "ImagefitNoNodeFits" // of the nodes that there are
	reasonUndecided = "ImagefitUndecided"  // what an image needs could not be found out
	reasonDrifted   = "ImagefitDrifted"    // the node of a running pod no longer fits
)
