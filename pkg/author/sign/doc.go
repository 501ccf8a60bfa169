// Package sign makes signatures that pkg/trust verifies, with private keys in files: plain
// PEM, or encrypted by a passphrase as cosign's are.
package sign
