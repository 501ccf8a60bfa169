package crio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/imagefit/imagefit/pkg/registry"
	"github.com/imagefit/imagefit/pkg/unixsocket"
)

// The defaults of CRI-O.
const (
	defaultPolicy   = "/etc/containers/policy.json"
	defaultPolicies = "/etc/crio/policies"
	defaultPause    = "registry.k8s.io/pause"
	registriesConf  = "/etc/containers/registries.conf"
)

const (
	queryTimeout = 5 * time.Second
	maxConfig    = 1 << 20
)

// Settings are what CRI-O's configuration means for images.
type Settings struct {
	// Policy is the file of the policy for signatures, and Policies the folder of those
	// of single namespaces.
	Policy, Policies string
	// AuthFile has the credentials for pulls that bring none.
	AuthFile string
	// Pinned are patterns of images that are never removed for want of space.
	Pinned []string
	// Registries is registries.conf with its drop-ins.
	Registries registry.Containers
}

// Reader reads the configuration of a CRI-O.
type Reader struct {
	// Endpoint is the socket of CRI-O, which serves its configuration as well.
	Endpoint string
	// RegistriesConf is the path of registries.conf, whose drop-ins are in a folder beside
	// it; "" is CRI-O's own.
	RegistriesConf string
}

// Read asks the running CRI-O for its configuration, and reads registries.conf. What could
// not be had is the default, and an error.
func (r Reader) Read(ctx context.Context) (Settings, error) {
	s, failed := r.query(ctx)
	path := r.RegistriesConf
	if path == "" {
		path = registriesConf
	}
	var err error
	if s.Registries, err = readRegistries(path); err != nil {
		failed = errors.Join(failed, err)
	}
	s.Registries.AuthFiles = slices.DeleteFunc([]string{s.AuthFile, "/run/containers/0/auth.json"}, func(file string) bool { return file == "" })
	return s, failed
}

// config is what matters here of CRI-O's configuration.
type config struct {
	CRIO struct {
		Image struct {
			Policy     string   `toml:"signature_policy"`
			Policies   string   `toml:"signature_policy_dir"`
			AuthFile   string   `toml:"global_auth_file"`
			PauseImage string   `toml:"pause_image"`
			Pinned     []string `toml:"pinned_images"`
		} `toml:"image"`
	} `toml:"crio"`
}

func (r Reader) query(ctx context.Context) (Settings, error) {
	var c config
	c.CRIO.Image.PauseImage = defaultPause + "*"
	text, err := r.ask(ctx)
	if err == nil && toml.Unmarshal(text, &c) != nil {
		err = errors.New("ask CRI-O for its configuration: the answer is not TOML")
	}
	i := c.CRIO.Image
	s := Settings{Policy: i.Policy, Policies: i.Policies, AuthFile: i.AuthFile, Pinned: append(i.Pinned, i.PauseImage)}
	if s.Policy == "" {
		s.Policy = defaultPolicy
	}
	if s.Policies == "" {
		s.Policies = defaultPolicies
	}
	return s, err
}

// ask fetches what CRI-O shows of its configuration beside the CRI, at /config.
func (r Reader) ask(ctx context.Context) ([]byte, error) {
	socket, err := unixsocket.ParseEndpoint(r.Endpoint)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/config", nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask CRI-O for its configuration: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask CRI-O for its configuration: status %d", resp.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxConfig))
	if err != nil {
		return nil, fmt.Errorf("ask CRI-O for its configuration: %w", err)
	}
	return text, nil
}

// IsPinned reports whether CRI-O never removes the image of a name.
func (s *Settings) IsPinned(name string) bool {
	return slices.ContainsFunc(s.Pinned, func(pattern string) bool {
		expression := "(?i)^" + regexp.QuoteMeta(pattern) + "$"
		keyword, isKeyword := strings.CutPrefix(pattern, "*")
		begin, isGlob := strings.CutSuffix(pattern, "*")
		switch {
		case isKeyword && isGlob:
			expression = "(?i)" + regexp.QuoteMeta(strings.TrimSuffix(keyword, "*"))
		case isGlob:
			expression = "(?i)" + regexp.QuoteMeta(begin)
		}
		matches, err := regexp.MatchString(expression, name)
		return err == nil && matches
	})
}
