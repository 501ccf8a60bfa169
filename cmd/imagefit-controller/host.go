package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec" //nolint:depguard // the installer of a node, which runs once and on demand
	"path/filepath"
	"strings"

	"github.com/imagefit/imagefit/internal/fsutil"
	"github.com/imagefit/imagefit/internal/textutil"
)

// releaseFolder is where the programs of the image lie on a node while its installer runs,
// below the folder of the node that the pod has.
const releaseFolder = "imagefit-release"

// host runs the installer of the image on the node.
type host struct {
	programs string // in the image
	lib      string // the node's /var/lib, as the pod has it
	root     string // a tree to install into instead of the node that runs
}

// lay copies the programs to the node, and returns their folder as the node has it.
func (h host) lay() (folder string, remove func(), err error) {
	if h.root != "" {
		return h.programs, func() {}, nil
	}
	to := filepath.Join(h.lib, releaseFolder)
	if err := os.MkdirAll(to, 0o700); err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.RemoveAll(to) }
	for _, name := range []string{"cri-proxy", "nri-plugin", "imagefit"} {
		if err := copyProgram(filepath.Join(h.programs, name), filepath.Join(to, name)); err != nil {
			remove()
			return "", nil, fmt.Errorf("copy %s to the node: %w", name, err)
		}
	}
	return filepath.Join("/var/lib", releaseFolder), remove, nil
}

func copyProgram(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	return fsutil.WriteAtomic(to, fsutil.WriteOptions{Mode: 0o755}, func(w io.Writer) error {
		_, err := io.Copy(w, source)
		return err
	})
}

// run runs imagefit on the node with these arguments, and returns what it prints. It is a
// unit of the node's own, so that it finishes what it began also when the pod is stopped.
func (h host) run(log io.Writer, args ...string) (out []byte, err error) {
	folder, remove, err := h.lay()
	if err != nil {
		return nil, err
	}
	defer remove()
	command := append([]string{filepath.Join(folder, "imagefit")}, args...)
	if args[0] == "install" {
		command = append(command, "--programs", folder)
	}
	var problems []byte
	if h.root != "" {
		out, problems, err = output(append(command, "--root", h.root))
	} else {
		out, problems, err = h.unit(folder, command)
	}
	_, _ = log.Write(problems)
	if err != nil {
		return out, fmt.Errorf("imagefit %s: %w: %s", args[0], err, textutil.Line(lastLines(string(problems)), maxLastWords))
	}
	return out, nil
}

// unit runs a command as a unit of the node, and waits until it ends.
func (h host) unit(folder string, command []string) (out, problems []byte, err error) {
	own, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	stdout, stderr := fmt.Sprintf("stdout-%d", os.Getpid()), fmt.Sprintf("stderr-%d", os.Getpid())
	_, said, err := output(append([]string{
		own, enterHostName, "--", "systemd-run", "--quiet", "--collect", "--property=Type=oneshot",
		"--property=StandardOutput=file:" + filepath.Join(folder, stdout), "--property=StandardError=file:" + filepath.Join(folder, stderr),
	}, command...))
	mine := filepath.Join(h.lib, releaseFolder)
	out, _ = os.ReadFile(filepath.Join(mine, stdout)) // none where it did not start
	problems, _ = os.ReadFile(filepath.Join(mine, stderr))
	_ = os.Remove(filepath.Join(mine, stdout)) // of this run
	_ = os.Remove(filepath.Join(mine, stderr))
	if err != nil && len(problems) == 0 {
		problems = said
	}
	return out, problems, err
}

func output(command []string) (out, problems []byte, err error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(command[0], command[1:]...) //nolint:noctx // it ends by itself
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return stdout.Bytes(), stderr.Bytes(), err
}

const (
	// maxLastWords is what the kubelet keeps of them.
	maxLastWords = 2 << 10
	lastFew      = 5
)

// lastLines are the last few lines of a text.
func lastLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-lastFew):], "; ")
}
