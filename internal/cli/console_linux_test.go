package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// terminal opens a pseudo-terminal of a width. What is written to the terminal is read
// from the other end.
func terminal(t *testing.T, columns uint16) (other, tty *os.File) {
	t.Helper()
	other, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("this machine has no pseudo-terminals:", err)
	}
	t.Cleanup(func() { _ = other.Close() })
	control := int(other.Fd())
	number, err := unix.IoctlGetInt(control, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(control, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Skip("this machine has no pseudo-terminals:", err)
	}
	t.Cleanup(func() { _ = tty.Close() })
	if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		t.Fatal(err)
	}
	return other, tty
}

func TestATerminalGetsColourAndItsWidth(t *testing.T) {
	const red = "\x1b[31mrefused\x1b[0m"
	wrapped := " word word word word word word\nword word word word\n"
	for name, tt := range map[string]struct {
		noColor, term, flag string
		want                string
	}{
		"auto":                 {"", "xterm", "auto", red},
		"NO_COLOR":             {"1", "xterm", "auto", "refused"},
		"a terminal without":   {"", "dumb", "auto", "refused"},
		"never":                {"", "xterm", "never", "refused"},
		"always, for NO_COLOR": {"1", "xterm", "always", red},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("NO_COLOR", tt.noColor)
			t.Setenv("TERM", tt.term)
			other, tty := terminal(t, 40)
			if err := printed(t, func(cmd *cobra.Command) { cmd.SetOut(tty) }, "--color", tt.flag); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 200)
			n, err := other.Read(got)
			if text := strings.ReplaceAll(string(got[:n]), "\r\n", "\n"); err != nil && err != io.EOF || text != tt.want+wrapped {
				t.Errorf("%v, got %q", err, text)
			}
		})
	}
}
