package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// OneOf adds a flag that takes one of the allowed values, which the shell completes
// and the help lists. The value it has when added is the default; it may be "".
func OneOf(cmd *cobra.Command, value *string, name, short, usage string, allowed []string) {
	usage += ": " + strings.Join(allowed, ", ")
	cmd.Flags().VarP(&oneOf{value, *value, allowed}, name, short, usage)
	Complete(cmd, name, allowed...)
}

// Complete has the shell complete a flag with these values, and never with the
// names of files.
func Complete(cmd *cobra.Command, flag string, values ...string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
}

// oneOf is a pflag.Value.
type oneOf struct {
	value    *string
	original string
	allowed  []string
}

// String implements pflag.Value.
func (o *oneOf) String() string { return *o.value }

// Type implements pflag.Value.
func (o *oneOf) Type() string { return "string" }

// Set implements pflag.Value.
func (o *oneOf) Set(value string) error {
	if value != o.original && !slices.Contains(o.allowed, value) {
		return fmt.Errorf("want one of: %s", strings.Join(o.allowed, ", "))
	}
	*o.value = value
	return nil
}

// Check checks the value of a flag where OneOf does not serve, because the flag
// takes a list or what is allowed is known only later.
func Check(flag, value string, allowed []string) error {
	if !slices.Contains(allowed, value) {
		return fmt.Errorf("--%s %q: want one of: %s", flag, value, strings.Join(allowed, ", "))
	}
	return nil
}
