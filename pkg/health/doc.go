// Package health answers, over HTTP and without a secret, whether a daemon
// lives, is ready, and how it does.
package health
