package admission

import (
	"os"
	"sync/atomic"
	"time"
)

// stampInterval is how often the time is written down while the plugin is connected.
const stampInterval = 5 * time.Second

// stamp is the time until which the plugin was connected, also of the process before:
// what was created since was not checked.
type stamp struct {
	path string       // of a file whose time it is, or ""
	at   atomic.Int64 // in nanoseconds; 0 is unknown
}

func newStamp(path string) *stamp {
	s := &stamp{path: path}
	if info, err := os.Stat(path); err == nil && path != "" {
		s.at.Store(info.ModTime().UnixNano())
	}
	return s
}

// last returns until when the plugin was connected, in nanoseconds; 0 is unknown.
func (s *stamp) last() int64 { return s.at.Load() }

// keep writes down that the plugin is connected now. If it cannot be written, only this
// process knows.
func (s *stamp) keep() {
	now := time.Now()
	s.at.Store(now.UnixNano())
	if s.path == "" {
		return
	}
	if os.Chtimes(s.path, now, now) != nil {
		if file, err := os.OpenFile(s.path, os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
			_ = file.Close()
		}
	}
}
