// Package secret redacts credentials in logs, the decision log, traces and errors.
package secret
