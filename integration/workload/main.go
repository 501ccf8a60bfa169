// Command workload is what the images of the tests and the demo hold: it says
// which variant it is and as whom it runs, and holds on if asked to.
//
//	workload            say it and exit 0
//	workload hold       say it, then wait for SIGTERM or SIGINT
//	workload exit N     say it, then exit with code N
//
// The variant comes from the environment (VARIANT), which the image's config
// sets. The same program serves as the pause image of pods.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	// Before the line below, so that whoever has read it may stop us.
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)

	variant := os.Getenv("VARIANT")
	if variant == "" {
		variant = "unnamed"
	}
	fmt.Printf("variant=%s uid=%d\n", variant, os.Getuid())

	switch {
	case len(args) == 0:
		return 0
	case args[0] == "hold" && len(args) == 1:
		<-stop
		return 0
	case args[0] == "exit" && len(args) == 2:
		code, err := strconv.Atoi(args[1])
		if err != nil {
			fmt.Fprintf(os.Stderr, "workload: exit code %q is not a number\n", args[1])
			return 2
		}
		return code
	default:
		fmt.Fprintf(os.Stderr, "workload: unknown arguments %q\n", args)
		return 2
	}
}
