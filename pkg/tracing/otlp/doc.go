// Package otlp exports spans to a collector, by OTLP over gRPC. A collector that is
// down or slow never delays a pull: spans wait in a bounded queue and are dropped
// when it is full.
package otlp
