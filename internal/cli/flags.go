package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// OneOf adds a flag that takes one of the allowed values. The shell completes
// them, and the help lists them. The value it has when added is the default.
func OneOf(cmd *cobra.Command, value *string, name, short, usage string, allowed []string) {
	usage += ": " + strings.Join(allowed, ", ")
	cmd.Flags().VarP(&oneOf{value, allowed}, name, short, usage)
	Complete(cmd, name, allowed...)
}

// Complete has the shell complete a flag with these values, and never with the
// names of files.
func Complete(cmd *cobra.Command, flag string, values ...string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
}

// Check returns an error unless a value is one of those allowed.
func Check(value string, allowed []string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("%q is unknown, want one of: %s", value, strings.Join(allowed, ", "))
}

// oneOf is a pflag.Value.
type oneOf struct {
	value   *string
	allowed []string
}

// String implements pflag.Value.
func (o *oneOf) String() string { return *o.value }

// Type implements pflag.Value.
func (o *oneOf) Type() string { return "string" }

// Set implements pflag.Value.
func (o *oneOf) Set(value string) error {
	if err := Check(value, o.allowed); err != nil {
		return err
	}
	*o.value = value
	return nil
}
