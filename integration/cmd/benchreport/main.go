// Command benchreport reads what go test -bench printed and shows it as one table for each
// claim. With -write it also keeps the tables, plots and numbers in a folder; with -check
// it compares the ratios with those that are kept.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// kept is the file with the numbers, in the folder that -write and -check name.
const kept = "benchmarks.json"

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "benchreport:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("benchreport", flag.ContinueOnError)
	write := flags.String("write", "", "write benchmarks.md, benchmarks.json and plots to this `folder`")
	readme := flags.String("readme", "", "replace the table of numbers in this `file`")
	check := flags.String("check", "", "compare with the benchmarks.json of this `folder`")
	tolerance := flags.Float64("tolerance", 1.5, "how many times the ratio that is kept a ratio may be")
	if err := flags.Parse(args); err != nil {
		return err
	}
	results, err := parse(in)
	if err != nil {
		return err
	}
	if len(results) == 0 {
		return errors.New("no benchmark was read: pass what go test -bench printed")
	}
	report := Report{Machine: thisMachine(), Results: results}
	report.print(out)
	if *check != "" {
		if err := report.check(out, filepath.Join(*check, kept), *tolerance); err != nil {
			return err
		}
	}
	if *write != "" {
		if err := report.write(*write); err != nil {
			return err
		}
	}
	if *readme != "" {
		return report.writeReadme(*readme)
	}
	return nil
}
