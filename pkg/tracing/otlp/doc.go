// Package otlp sends spans to a collector, by OTLP over gRPC. A collector that is
// down, slow or full never holds anybody up: spans wait in a bounded queue and are
// lost when that is full.
package otlp
