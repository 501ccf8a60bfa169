package containerd

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/registry"
)

// What the two containerds say of themselves, shortened.
const (
	status24 = `{"containerd":{"defaultRuntimeName":"runc","runtimes":{"runc":{"snapshotter":""},"kata":{"snapshotter":"devmapper"}}},"cni":{}}`
	status17 = `{"containerd":{"snapshotter":"native","runtimes":{"runc":{"snapshotter":""},"kata":{"snapshotter":"devmapper"}}},` +
		`"registry":{"configPath":"/status","mirrors":null,"configs":{"registry.example":{"auth":{"username":"u","password":"secret"}}},` +
		`"auths":{"https://registry.example":{"auth":"secret"}},"headers":{"X-Meta":["secret"]}}}`
)

func TestReportTakesPrecedenceOverTheFile(t *testing.T) {
	t.Parallel()
	file := Settings{HostsPath: "/file", Snapshotter: "overlayfs", RuntimeSnapshotters: map[string]string{"old": "x"}, InlineRegistry: []string{"mirrors"}}
	unset := Settings{Snapshotter: "overlayfs"}
	inMirrors := registry.Tables{Replace: true, Mirrors: map[string][]string{"registry.example": {"mirror.example"}}}
	kata := map[string]string{"kata": "devmapper"}
	tests := []struct {
		name     string
		settings Settings
		report   Report
		want     func(*Settings)
		err      string
	}{
		{"nothing", file, Report{}, func(*Settings) {}, ""},
		{"2.4: pods from status, the rest from the file", file, Report{"containerd", "2.4.2", map[string]string{"config": status24}, nil}, func(s *Settings) {
			s.Name, s.Version, s.RuntimeSnapshotters = "containerd", "2.4.2", kata
		}, ""},
		{"2.4: the exported path wins", file, Report{"containerd", "2.4.2", nil, map[string]string{"RegistryConfigPath": "/export"}}, func(s *Settings) {
			s.Name, s.Version, s.HostsPath, s.HostsKnown = "containerd", "2.4.2", "/export", true
		}, ""},
		{"2.4: no path set", unset, Report{"containerd", "2.4.2", nil, nil}, func(s *Settings) {
			s.Name, s.Version, s.HostsPath = "containerd", "2.4.2", "/etc/containerd/certs.d:/etc/docker/certs.d"
		}, ""},
		{"2.4: mirrors in place of a path", Settings{InlineRegistry: []string{"mirrors"}, Registry: inMirrors}, Report{"containerd", "2.4.2", nil, nil}, func(s *Settings) {
			s.Name, s.Version = "containerd", "2.4.2"
		}, ""},
		{"2.1: no path set", unset, Report{"containerd", "2.1.5", nil, nil}, func(s *Settings) { s.Name, s.Version = "containerd", "2.1.5" }, ""},
		{"1.7: all from status", file, Report{"containerd", "1.7.35", map[string]string{"config": status17}, nil}, func(s *Settings) {
			*s = Settings{Name: "containerd", Version: "1.7.35", HostsPath: "/status", HostsKnown: true, Snapshotter: "native",
				RuntimeSnapshotters: kata, InlineRegistry: []string{"configs", "auths"}, Registry: registry.Tables{
					Auths:   map[string]registry.Auth{"registry.example": {Auth: "secret"}},
					Headers: http.Header{"X-Meta": {"secret"}},
				}}
		}, ""},
		{"1.7: no path set", file, Report{"containerd", "1.7.35", map[string]string{"config": `{"registry":{}}`}, nil}, func(s *Settings) {
			s.Name, s.Version, s.HostsPath, s.HostsKnown, s.InlineRegistry = "containerd", "1.7.35", "", true, nil
			s.Registry.Replace = true
		}, ""},
		{"1.7: mirrors as k3s and RKE2 write them", unset, Report{"containerd", "1.7.35", map[string]string{"config": `{"registry":{"configPath":"",` +
			`"mirrors":{"docker.io":{"endpoint":["https://mirror.example:5000"]},"*":{"endpoint":["http://all.example"]}},` +
			`"configs":{"mirror.example:5000":{"auth":{"username":"u","password":"p","auth":"","identitytoken":""},` +
			`"tls":{"insecure_skip_verify":true,"caFile":"/ca","certFile":"/cert","keyFile":"/key"}}}}}`}, nil}, func(s *Settings) {
			s.Name, s.Version, s.HostsKnown, s.InlineRegistry = "containerd", "1.7.35", true, []string{"mirrors", "configs"}
			s.Registry = registry.Tables{
				Replace: true, Mirrors: map[string][]string{"docker.io": {"https://mirror.example:5000"}, "*": {"http://all.example"}},
				TLS:   map[string]registry.TLS{"mirror.example:5000": {CAFile: "/ca", CertFile: "/cert", KeyFile: "/key", InsecureSkipVerify: true}},
				Auths: map[string]registry.Auth{"mirror.example:5000": {Username: "u", Password: "p"}},
			}
		}, ""},
		{"2.x of k3s: rewrites", file, Report{"containerd", "2.1.4-k3s1", nil, map[string]string{"RegistryConfigPath": "/export"}}, func(s *Settings) {
			s.Name, s.Version, s.HostsPath, s.HostsKnown = "containerd", "2.1.4-k3s1", "/export", true
			s.Registry.Rewrite = true
		}, ""},
		{"broken status", file, Report{"containerd", "2.4.2", map[string]string{"config": `{"containerd": "secret"}`}, nil}, func(s *Settings) {
			s.Name, s.Version = "containerd", "2.4.2"
		}, "unexpected JSON"},
		{"another runtime", file, Report{"cri-o", "1.36.0", map[string]string{"config": "[crio]"}, nil}, func(s *Settings) {
			s.Name, s.Version = "cri-o", "1.36.0"
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := tt.settings
			tt.want(&want)
			got, err := tt.settings.With(tt.report)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			if (err != nil) != (tt.err != "") || err != nil && (!strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "secret")) {
				t.Errorf("error %v, want %q in it", err, tt.err)
			}
		})
	}
}

func FuzzWith(f *testing.F) {
	f.Add(status24, "2.4.2")
	f.Add(status17, "1.7.35")
	f.Fuzz(func(t *testing.T, config, version string) {
		s, err := defaults().With(Report{Name: "containerd", Version: version, Info: map[string]string{"config": config}})
		if err != nil && s.HostsKnown {
			t.Errorf("half a status counts: %+v", s)
		}
		s.WillUnpack(amd64("v3"))
		s.Warnings()
	})
}
