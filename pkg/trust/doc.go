// Package trust verifies who signed metadata: Sigstore bundles, DSSE envelopes and
// cosign's older signatures, by public keys that the operator keeps. It needs no
// network: no certificate authority and no transparency log.
package trust
