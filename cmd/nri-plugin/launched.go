package main

import (
	"io"
	"log/syslog"
	"os"

	"github.com/imagefit/imagefit/pkg/admission"
	"github.com/imagefit/imagefit/pkg/config"
)

// socketOf returns where the runtime is: at the socket that the configuration names, or at
// the other end of the connection that it gave to a plugin that it launched.
func socketOf(cfg config.Config, getenv func(string) string) (admission.Socket, error) {
	if admission.Launched(getenv) {
		return admission.LaunchedBy(getenv)
	}
	return admission.Socket{Path: cfg.NRI.Socket, PluginName: cfg.NRI.PluginName, PluginIndex: cfg.NRI.PluginIndex}, nil
}

// logOutput returns what the log goes to: stderr, or the system's log for a plugin that
// the runtime launched, whose stderr is /dev/null unless a script in between says otherwise.
func logOutput(getenv func(string) string, stderr *os.File) io.Writer {
	if !admission.Launched(getenv) || !discards(stderr) {
		return stderr
	}
	system, err := syslog.New(syslog.LOG_DAEMON|syslog.LOG_INFO, "nri-plugin")
	if err != nil { // there is none, and nowhere to say so
		return stderr
	}
	return system
}

// discards reports whether a file is /dev/null.
func discards(file *os.File) bool {
	null, err := os.Stat(os.DevNull)
	if err != nil {
		return false
	}
	info, err := file.Stat()
	return err == nil && os.SameFile(info, null)
}
