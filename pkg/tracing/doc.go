// Package tracing makes the spans of a pull and carries trace context from one
// call to the next. A span is begun from the one in the context, so only who
// answers a call needs a [trace.Tracer]; what lies further in needs none, and
// where nobody began a span all of it does nothing.
//
// It sends nothing anywhere: that is package otlp, which programs that only look
// at images do without.
package tracing
