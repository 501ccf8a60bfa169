package hostfacts

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/imagefit/imagefit/pkg/facts"
)

// collectKernelConfig reads the configuration the running kernel was built
// with. An option missing there is absent; without any configuration all
// options are unknown.
func collectKernelConfig(h host, out *facts.Features) error {
	places, err := kernelConfigPlaces(h.root)
	if err != nil {
		return err
	}
	var cause error
	for _, place := range places {
		data, err := readKernelConfig(h.root, place)
		if err == nil {
			out.Attributes["kernel.config"] = parseKernelConfig(data)
			out.Origins["kernel.config"] = "/" + place
			return nil
		}
		if cause == nil && !errors.Is(err, fs.ErrNotExist) {
			cause = err
		}
	}
	if cause != nil {
		return cause
	}
	return fmt.Errorf("no kernel configuration at %s nor at %d other places",
		h.root.Path(places[0]), len(places)-1)
}

// kernelConfigPlaces lists where distributions put the configuration of the
// running kernel. The plain usr/src/linux is left out: it may be another kernel's.
func kernelConfigPlaces(root Root) ([]string, error) {
	places := []string{"proc/config.gz"}
	release, err := kernelRelease(root)
	if errors.Is(err, fs.ErrNotExist) {
		return places, nil
	}
	if err != nil {
		return nil, err
	}
	return append(places,
		"boot/config-"+release,
		"lib/modules/"+release+"/config",
		"usr/lib/modules/"+release+"/config",
		"usr/lib/ostree-boot/config-"+release,
		"usr/lib/kernel/config-"+release,
		"usr/src/linux-headers-"+release+"/.config",
		"usr/src/linux-"+release+"/.config",
		"lib/modules/"+release+"/build/.config",
	), nil
}

func readKernelConfig(root Root, name string) ([]byte, error) {
	if path.Ext(name) != ".gz" {
		return root.ReadFile(name)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := gunzip(f)
	if err != nil {
		return nil, root.pathError("read", name, err)
	}
	return data, nil
}

// usualConfig is larger than the configuration of most distributions' kernels.
const usualConfig = 320 << 10

// gunzip bounds what comes out, however little went in.
func gunzip(r io.Reader) ([]byte, error) {
	z, err := gzip.NewReader(io.LimitReader(r, maxFileSize))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.Grow(usualConfig)
	if _, err := b.ReadFrom(io.LimitReader(z, maxFileSize+1)); err != nil {
		return nil, err
	}
	if b.Len() > maxFileSize {
		return nil, fmt.Errorf("larger than %d bytes uncompressed", maxFileSize)
	}
	return b.Bytes(), nil
}

// parseKernelConfig returns the options that are set, without CONFIG_ and
// without the quotes of strings.
func parseKernelConfig(data []byte) map[string]string {
	options := make(map[string]string, bytes.Count(data, []byte("\nCONFIG_"))+1)
	for line := range strings.Lines(string(data)) {
		option, ok := strings.CutPrefix(strings.TrimSpace(line), "CONFIG_")
		if !ok {
			continue
		}
		name, value, ok := strings.Cut(option, "=")
		if !ok || name == "" {
			continue
		}
		options[name] = strings.Trim(value, `"`)
	}
	return options
}
