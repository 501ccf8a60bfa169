package main

import (
	"context"
	"log/slog"
	"reflect"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/imagefit/imagefit/internal/cli"
	"github.com/imagefit/imagefit/internal/wiring"
	"github.com/imagefit/imagefit/pkg/config"
)

// changePause is how often the configuration is looked at. The kubelet brings another
// version of a ConfigMap within about a minute.
const changePause = 5 * time.Second

// settings are the configuration, where it is from, and a logger by it.
type settings struct {
	src   config.Sources
	cfg   config.Config
	log   *slog.Logger
	level *slog.LevelVar
}

func load(cmd *cobra.Command) (settings, error) {
	src, err := cli.ConfigSources(cmd)
	if err != nil {
		return settings{}, err
	}
	loaded, err := src.Load()
	if err != nil {
		return settings{}, err
	}
	s := settings{src: src, level: new(slog.LevelVar)}
	if err := s.use(loaded.Config); err != nil {
		return settings{}, err
	}
	s.log = cli.NewLogger(cmd.ErrOrStderr(), s.cfg.LogFormat, s.level)
	klog.SetSlogLogger(s.log) // client-go's
	return s, nil
}

// use makes a configuration the one in effect. The format of the log stays.
func (s *settings) use(cfg config.Config) error {
	s.cfg = cfg
	return s.level.UnmarshalText([]byte(cfg.LogLevel))
}

// awaitChange returns the configuration once it is another one, or the operator's rule
// files are; nil where ctx ends before. One that cannot be used is logged, once, and the
// one in effect stays.
func (s *settings) awaitChange(ctx context.Context, reloaded func(error)) *config.Config {
	files, mistake := wiring.RuleFiles(s.cfg), ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(changePause):
		}
		loaded, err := s.src.Load()
		if err == nil && reflect.DeepEqual(loaded.Config, s.cfg) && wiring.RuleFiles(s.cfg) == files {
			if mistake != "" {
				mistake = ""
				reloaded(nil)
			}
			continue
		}
		if err == nil {
			_, err = wiring.Rules(loaded.Config, s.log)
		}
		if err == nil {
			s.log.Info("the configuration has changed, starting again with it", "mode", loaded.Config.Policy.Mode)
			return &loaded.Config
		}
		if mistake != err.Error() {
			mistake = err.Error()
			reloaded(err)
			s.log.Error("configuration reload failed, keeping the previous configuration", "error", err)
		}
	}
}
