package daemon

import (
	"log/slog"
	"os"
	"strconv"
	"testing"

	"github.com/imagefit/imagefit/internal/testkit"
)

func TestSecondInstanceIsLogged(t *testing.T) {
	t.Parallel()
	dir, out := t.TempDir(), new(testkit.Log)
	log := slog.New(slog.NewTextHandler(out, nil))
	release := warnOfAnother("nri-plugin", dir, log)
	defer warnOfAnother("cri-proxy", dir, log)()          // another program
	defer warnOfAnother("nri-plugin", t.TempDir(), log)() // of another node's state
	if out.Count("level=WARN") > 0 {
		t.Errorf("the only instance logs %s", out.String())
	}
	warnOfAnother("nri-plugin", dir, log)()
	if out.Count("another instance of this daemon runs") != 1 || out.Count("pid="+strconv.Itoa(os.Getpid())) != 1 {
		t.Errorf("the second logs %s", out.String())
	}
	release()
	warnOfAnother("nri-plugin", dir, log)()
	if out.Count("level=WARN") != 1 {
		t.Errorf("after the first has ended: %s", out.String())
	}
}
