// Package lint finds mistakes in what an image asks for, and fixes those that can
// only be meant in one way.
package lint
