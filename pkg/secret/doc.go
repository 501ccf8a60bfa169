// Package secret keeps credentials out of what people and machines read: log
// lines, the journal, error texts.
package secret
