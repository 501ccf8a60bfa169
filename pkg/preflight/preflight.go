package preflight

import (
	"context"
	"fmt"

	"github.com/imagefit/imagefit/internal/textutil"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/containerd"
	"github.com/imagefit/imagefit/pkg/secret"
)

// State is what came of a check.
type State string

// The states of a finding.
const (
	OK      State = "ok"
	Problem State = "problem"
	Unknown State = "unknown" // there is nothing to check, or it cannot be read
)

// Finding is what a check found.
type Finding struct {
	Check string `json:"check"`
	State State  `json:"state"`
	Text  string `json:"text"`
	Fix   string `json:"fix,omitempty"` // what to do
}

// Node is the node that is checked.
type Node struct {
	Root   string // of /proc, /etc, /var and /run, "/" but in tests
	Config config.Config
	// Peer returns the process that listens on a unix socket, 0 where that is unknown.
	Peer func(socket string) int
	// Hide has files of the kubelet's configuration left out, nil none.
	Hide func(path string) bool

	runtime  containerd.Settings
	answered bool // the runtime did
	findings []Finding
}

// Run makes all checks. None of them changes anything.
func (n *Node) Run(ctx context.Context) []Finding {
	n.findings = nil
	n.checkRuntime(ctx)
	n.checkImageEndpoint(ctx)
	n.checkProxy(ctx)
	n.checkKubelet()
	n.checkNRI()
	n.checkHosts()
	n.checkProxyVariables()
	n.checkState()
	n.checkPorts()
	n.checkInstances()
	return n.findings
}

func (n *Node) ok(check, format string, args ...any) { n.add(check, OK, "", format, args...) }

func (n *Node) unknown(check, fix, format string, args ...any) {
	n.add(check, Unknown, fix, format, args...)
}

func (n *Node) problem(check, fix, format string, args ...any) {
	n.add(check, Problem, fix, format, args...)
}

// asRoot is what to do where only root can look.
const asRoot = "run this as root"

// maxText bounds what a finding repeats of files and processes.
const maxText = 1 << 10

func (n *Node) add(check string, state State, fix, format string, args ...any) {
	text := textutil.Line(secret.Strip(fmt.Sprintf(format, args...)), maxText)
	n.findings = append(n.findings, Finding{check, state, text, textutil.Line(fix, maxText)})
}
