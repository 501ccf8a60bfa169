// Package tracing makes the spans of a pull and propagates trace context from one
// call to the next. A span is started from its parent in the context, so only the
// server of a call needs a [trace.Tracer]; without a parent all of it does nothing.
//
// Package otlp exports the spans; the command line does not link it.
package tracing
