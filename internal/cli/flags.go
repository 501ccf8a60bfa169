package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// OneOf adds a flag that takes one of the allowed values, which the shell completes
// and the help lists. The value it has when added is the default; it may be "".
func OneOf[T ~string](cmd *cobra.Command, value *T, name, short, usage string, allowed []T) {
	words := make([]string, len(allowed))
	for i, word := range allowed {
		words[i] = string(word)
	}
	cmd.Flags().VarP(&oneOf[T]{value, *value, words}, name, short, usage+": "+strings.Join(words, ", "))
	Complete(cmd, name, words...)
}

// Complete has the shell complete a flag with these values, and never with the
// names of files.
func Complete(cmd *cobra.Command, flag string, values ...string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
}

// oneOf is a pflag.Value.
type oneOf[T ~string] struct {
	value    *T
	original T
	allowed  []string
}

// String implements pflag.Value.
func (o *oneOf[T]) String() string { return string(*o.value) }

// Type implements pflag.Value.
func (o *oneOf[T]) Type() string { return "string" }

// Set implements pflag.Value.
func (o *oneOf[T]) Set(value string) error {
	if value != string(o.original) && !slices.Contains(o.allowed, value) {
		return fmt.Errorf("want one of: %s", strings.Join(o.allowed, ", "))
	}
	*o.value = T(value)
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
