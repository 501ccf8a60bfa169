package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/config"
)

// The flags that name the sources of the configuration.
const (
	configFlag    = "config"
	configDirFlag = "config-dir"
	setFlag       = "set"
)

// ConfigFlags adds the flags that ConfigSources reads.
func ConfigFlags(cmd *cobra.Command, flags *pflag.FlagSet) {
	flags.String(configFlag, config.DefaultPath, "configuration `FILE`, shared by all imagefit programs")
	flags.String(configDirFlag, "", "`DIR` of drop-ins, *.toml files that override the configuration file (default: conf.d beside it)")
	flags.StringArray(setFlag, nil, "`KEY=VALUE` that overrides all files and IMAGEFIT_* variables, such as policy.mode=audit; repeatable")
	_ = cobra.MarkFlagFilename(flags, configFlag, "toml") // the flags exist
	_ = cobra.MarkFlagDirname(flags, configDirFlag)
	_ = cmd.RegisterFlagCompletionFunc(setFlag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return config.Settings(), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	})
}

// ConfigSources returns the sources of the configuration that the flags and the
// environment name.
func ConfigSources(cmd *cobra.Command) (src config.Sources, err error) {
	if src.File, err = cmd.Flags().GetString(configFlag); err != nil {
		return src, err
	}
	if src.Dir, err = cmd.Flags().GetString(configDirFlag); err != nil {
		return src, err
	}
	src.Set, err = cmd.Flags().GetStringArray(setFlag)
	src.Env = os.Environ()
	return src, err
}

// LoadConfig loads the configuration of this node as the daemons do. One that cannot be
// loaded is no reason to show nothing: the daemons run all the same, so the command
// continues with what they use, and says so.
func LoadConfig(cmd *cobra.Command) (config.Config, error) {
	src, err := ConfigSources(cmd)
	if err != nil {
		return config.Config{}, err
	}
	usable := src.LoadUsable("cri-proxy", "nri-plugin")
	if usable.Err != nil {
		with := "what can be read of it"
		if !usable.Since.IsZero() {
			with = "the last valid one, loaded " + usable.Since.UTC().Format(time.RFC3339)
		}
		for _, p := range config.Problems(usable.Err) {
			cmd.PrintErrf("imagefit: %s\n", textutil.Line(p.Error(), maxProblem))
		}
		cmd.PrintErrf("imagefit: the configuration cannot be loaded, continuing with %s\n", with)
	}
	return usable.Config, nil
}

// maxProblem bounds one line about a configuration.
const maxProblem = 16 << 10

// LoadUserConfig loads the configuration for a command that any user may run: only
// root uses the state directory of the daemons, others their own cache directory.
func LoadUserConfig(cmd *cobra.Command) (config.Config, error) {
	cfg, err := LoadConfig(cmd)
	if err != nil {
		return cfg, err
	}
	return UserConfig(cfg)
}

// UserConfig is what LoadUserConfig makes of a configuration.
func UserConfig(cfg config.Config) (config.Config, error) {
	if os.Geteuid() == 0 {
		return cfg, nil
	}
	own, err := os.UserCacheDir()
	if err != nil {
		return config.Config{}, fmt.Errorf("find a cache directory: %w", err)
	}
	cfg.StateDir = filepath.Join(own, "imagefit")
	return cfg, nil
}
