package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/imagefit/imagefit"
	"github.com/imagefit/imagefit/pkg/config"
	"github.com/imagefit/imagefit/pkg/containerd"
	"github.com/imagefit/imagefit/pkg/preflight"
	"github.com/imagefit/imagefit/pkg/unixsocket"
)

// File is one that imagefit puts on the node.
type File struct {
	Path   string
	Mode   fs.FileMode
	Text   string // the content
	Source string // the file to copy, instead of Text
	Link   string // where a symbolic link leads, instead of Text
	// Kubelet is set for what points the kubelet at cri-proxy, once that runs.
	Kubelet bool
	// Changed is set for a file of the operator of which a line is imagefit's.
	Changed bool
}

// Snippet is text for the platform's own configuration.
type Snippet struct {
	Title string `json:"title"`
	Text  string `json:"text"`
}

// Plan is what an installation does.
type Plan struct {
	Platform string     `json:"platform"`
	Found    []Evidence `json:"found"`
	// Lasts is what becomes of it when the node restarts, is upgraded or replaced.
	Lasts []string  `json:"lasts"`
	Notes []string  `json:"notes,omitempty"` // what else to know, and to do by hand
	Paste []Snippet `json:"paste,omitempty"`
	// Kubelet is the unit that holds the kubelet, which is restarted; "" is none.
	Kubelet string `json:"kubelet_unit,omitempty"`
	Listen  string `json:"listen"` // where cri-proxy listens

	files []File
}

// builder makes a plan.
type builder struct {
	tree
	Plan

	programs       string // the folder that the programs are copied from
	platform       platform
	unit           unit   // that holds the kubelet
	image, runtime string // the endpoints that the kubelet has now
}

// plan says what to put on the node. It reads and writes nothing else.
func (t tree) plan(name, programs string) (Plan, error) {
	p, from, err := t.detect(name)
	if err != nil {
		return Plan{}, err
	}
	b := builder{tree: t, platform: p, programs: programs}
	b.Platform, b.Lasts = p.name, p.lasts
	b.find("platform", p.name, from)
	if b.Listen, err = t.listen(); err != nil {
		return Plan{}, err
	}
	if p.paste != nil {
		b.Paste = p.paste(b.Listen)
	}
	if p.socket == "" {
		return b.Plan, nil // nothing can be installed
	}
	if u, link := t.kubeletUnit(p); link != "" {
		b.unit = u
		b.find("unit of the kubelet", u.name, link)
		if err := p.point(&b); err != nil {
			return Plan{}, err
		}
	} else if len(p.units) > 0 {
		return Plan{}, fmt.Errorf("%s was found by %s, but none of its units exists: %s", p.name, from, strings.Join(p.units, ", "))
	}
	kubelet := b.files
	b.files = nil
	if err := b.addPrograms(); err != nil {
		return Plan{}, err
	}
	b.addConfiguration()
	b.files = append(b.files, kubelet...)
	return b.Plan, nil
}

func (b *builder) find(what, value, from string) {
	b.Found = append(b.Found, Evidence{what, value, from})
}

func (b *builder) note(format string, args ...any) {
	b.Notes = append(b.Notes, fmt.Sprintf(format, args...))
}

func (b *builder) add(f File) {
	if f.Mode == 0 {
		f.Mode = 0o644
	}
	b.files = append(b.files, f)
}

// listen is where cri-proxy listens, by the configuration that is there.
func (t tree) listen() (string, error) {
	file := t.path(config.DefaultPath)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return config.Default().Proxy.Listen, nil
	}
	loaded, err := config.Sources{File: file}.Load()
	if err != nil {
		return "", fmt.Errorf("the configuration that is there is not valid, correct it first: %w", err)
	}
	return loaded.Config.Proxy.Listen, nil
}

func programNames() []string { return []string{"cri-proxy", "nri-plugin", "imagefit"} }

const programFolder = "/usr/local/bin"

// addPrograms copies the programs and writes their units, unless a package or make install
// did.
func (b *builder) addPrograms() error {
	installed := programFolder
	for _, name := range programNames() {
		if at, there := b.first("/usr/bin/"+name, programFolder+"/"+name); there {
			installed = path.Dir(at)
			b.find("program", name, at)
			continue
		}
		source := filepath.Join(b.programs, name)
		if _, err := os.Stat(source); err != nil {
			return fmt.Errorf("there is no %s to install: unpack the whole release, or name its folder with --programs: %w", name, err)
		}
		b.add(File{Path: programFolder + "/" + name, Mode: 0o755, Source: source})
	}
	for _, u := range []struct{ name, target string }{
		{"cri-proxy.socket", "sockets.target"}, {"cri-proxy.service", "multi-user.target"}, {"nri-plugin.service", "multi-user.target"},
	} {
		file := path.Join("/etc/systemd/system", u.name)
		if at := b.tree.unit(u.name).files; len(at) > 0 {
			file = at[0]
			b.find("unit", u.name, file)
		} else {
			text, err := fs.ReadFile(imagefit.Units, "deploy/systemd/"+u.name)
			if err != nil {
				return err
			}
			b.add(File{Path: file, Text: strings.ReplaceAll(string(text), "ExecStart="+programFolder+"/", "ExecStart="+installed+"/")})
		}
		if link := "/etc/systemd/system/" + u.target + ".wants/" + u.name; !b.exists(link) {
			b.add(File{Path: link, Link: file})
		}
	}
	return nil
}

const written = "# Written by imagefit install. Changes are lost with the next one.\n"

// addConfiguration writes what differs from the defaults on this platform.
func (b *builder) addConfiguration() {
	evidence, crio := b.usesCRIO(b.runtime)
	socket := b.platform.socket
	from := "the default of " + b.platform.name
	if b.runtime != "" {
		socket, from = socketOf(b.runtime), "the kubelet"
	} else if crio {
		socket, from = crioSocket, evidence
	}
	b.find("runtime", "unix://"+socket, from)
	if socket == socketOf(b.Listen) {
		socket = b.platform.socket // the kubelet does all through cri-proxy already
	}
	lines, defaults := "", config.Default()
	if endpoint := "unix://" + socket; endpoint != defaults.Runtime.Endpoint {
		lines += fmt.Sprintf("endpoint = %q\n", endpoint)
	}
	if b.image != "" && socketOf(b.image) != socket && socketOf(b.image) != socketOf(b.Listen) {
		b.find("image endpoint", b.image, "the kubelet: cri-proxy is put before it")
		lines += fmt.Sprintf("image_endpoint = %q\n", "unix://"+socketOf(b.image))
	}
	if !crio {
		if b.platform.config != containerd.DefaultPath {
			lines += fmt.Sprintf("config = %q\n", b.platform.config)
		}
		nri, off := b.nri(b.platform.config)
		b.Found = append(b.Found, nri)
		if off {
			b.note(`NRI is off in %s, so that nri-plugin checks nothing: set disable = false in [plugins."io.containerd.nri.v1.nri"] and restart containerd`, b.platform.config)
		}
		b.Found = append(b.Found, b.peers(b.platform.config)...)
	}
	if !b.exists(config.DefaultPath) {
		b.add(File{Path: config.DefaultPath, Text: "version = 1\n"})
	}
	if lines != "" {
		b.add(File{Path: "/etc/imagefit/conf.d/50-platform.toml", Text: written + "[runtime]\n" + lines})
	}
	b.addOrder(crio)
}

// addOrder starts the daemons before the unit that holds the kubelet.
func (b *builder) addOrder(crio bool) {
	order := ""
	if b.unit.name != "" && b.unit.name != "kubelet.service" {
		order += "Before=" + b.unit.name + "\n"
	}
	if crio {
		order += "After=crio.service\n"
	}
	if order == "" {
		return
	}
	for _, name := range []string{"cri-proxy.service", "nri-plugin.service"} {
		b.add(File{Path: "/etc/systemd/system/" + name + ".d/50-platform.conf", Text: written + "[Unit]\n" + order})
	}
}

// endpoints are those of the kubelet, with these arguments and without imagefit's files.
func (b *builder) endpoints(of func(n *preflight.Node) (image, runtime string)) {
	n := preflight.Node{Root: b.root, Hide: func(path string) bool { return b.own[path] }}
	b.image, b.runtime = of(&n)
}

// pointed tells whether the kubelet has cri-proxy already, by files of others.
func (b *builder) pointed() bool {
	used := b.image
	if used == "" {
		used = b.runtime
	}
	if used == "" || socketOf(used) != socketOf(b.Listen) {
		return false
	}
	b.note("the kubelet asks cri-proxy already, by its own configuration, which is not touched")
	return true
}

func socketOf(endpoint string) string {
	if socket, err := unixsocket.ParseEndpoint(endpoint); err == nil {
		return socket
	}
	return endpoint
}
