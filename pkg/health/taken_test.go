package health

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
)

// TestWhoHasTheAddressIsNamed, as far as it can be told.
func TestWhoHasTheAddressIsNamed(t *testing.T) {
	t.Parallel()
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	address := other.Addr().String()
	_, err = listen(t.Context(), address)
	want := fmt.Sprintf("address already in use (by a process of user %d: health.test, pid %d)", os.Getuid(), os.Getpid())
	if got := taken(err, address, "/proc"); got == nil || !strings.Contains(got.Error(), want) {
		t.Errorf("got %v, want %s", got, want)
	}
	if got := taken(err, address, t.TempDir()); got != err {
		t.Errorf("without /proc: %v", got)
	}
	if got := taken(net.ErrClosed, address, "/proc"); got != net.ErrClosed {
		t.Errorf("another error: %v", got)
	}
}
