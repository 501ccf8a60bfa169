package hostfacts

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/imagefit/imagefit/pkg/facts"
)

type lookupCase struct {
	name         string
	files        map[string]string
	set, element string
	want         facts.State
	value        string
	cause        string // a part of it
}

func kernelLookups(t *testing.T) []lookupCase {
	const release = "proc/sys/kernel/osrelease"
	return []lookupCase{
		{
			name:  "option set in proc/config.gz",
			files: map[string]string{release: "6.1.0\n", "proc/config.gz": gzipped(t, "CONFIG_BPF=y\nCONFIG_X=\"a b\"\n")},
			set:   "kernel.config", element: "X", want: facts.Present, value: "a b",
		},
		{
			name:  "option not set in proc/config.gz",
			files: map[string]string{release: "6.1.0\n", "proc/config.gz": gzipped(t, "CONFIG_BPF=y\n")},
			set:   "kernel.config", element: "KVM", want: facts.Absent,
		},
		{
			name:  "boot/config is read when proc/config.gz is not a gzip file",
			files: map[string]string{release: "6.1.0\n", "proc/config.gz": "this is not gzip", "boot/config-6.1.0": "CONFIG_KVM=m\n"},
			set:   "kernel.config", element: "KVM", want: facts.Present, value: "m",
		},
		{
			name:  "no configuration is unknown",
			files: map[string]string{release: "6.1.0\n"},
			set:   "kernel.config", element: "KVM", want: facts.Unknown, cause: "no kernel configuration at ",
		},
		{
			name:  "the cause of a broken configuration is told",
			files: map[string]string{release: "6.1.0\n", "proc/config.gz": "this is not gzip"},
			set:   "kernel.config", element: "KVM", want: facts.Unknown, cause: "gzip: invalid header reading ",
		},
		{
			name:  "an empty release is not a path",
			files: map[string]string{release: "\n", "boot/config-": "CONFIG_KVM=y\n"},
			set:   "kernel.config", element: "KVM", want: facts.Unknown, cause: "is not a name",
		},
		{
			name:  "a release that leads elsewhere is not a path",
			files: map[string]string{release: "../../etc\n"},
			set:   "kernel.config", element: "KVM", want: facts.Unknown, cause: "is not a name",
		},
		{
			name:  "a kernel without modules has none loaded",
			files: map[string]string{release: "6.1.0\n"},
			set:   "kernel.loadedmodule", element: "xfs", want: facts.Absent,
		},
		{
			name:  "without proc, modules are unknown",
			files: map[string]string{"etc/hostname": "a\n"},
			set:   "kernel.loadedmodule", element: "xfs", want: facts.Unknown, cause: "no such file or directory reading ",
		},
		{
			name:  "a loaded module is enabled also when the built-in ones are unknown",
			files: map[string]string{release: "6.1.0\n", "proc/modules": "xfs 1 0 - Live 0x0\n"},
			set:   "kernel.enabledmodule", element: "xfs", want: facts.Present,
		},
		{
			name:  "another module may be built in when that list is missing",
			files: map[string]string{release: "6.1.0\n", "proc/modules": "xfs 1 0 - Live 0x0\n"},
			set:   "kernel.enabledmodule", element: "ext4", want: facts.Unknown, cause: "modules.builtin",
		},
		{
			name:  "without sys, selinux is unknown",
			files: map[string]string{release: "6.1.0\n"},
			set:   "kernel.selinux", element: "enabled", want: facts.Unknown, cause: "sys/fs",
		},
	}
}

func otherLookups() []lookupCase {
	return []lookupCase{
		{
			name:  "os-release through an absolute link",
			files: map[string]string{"etc/os-release": "-> /usr/lib/os-release", "usr/lib/os-release": "ID=nixos\n"},
			set:   "system.osrelease", element: "ID", want: facts.Present, value: "nixos",
		},
		{
			name:  "a set without a collector",
			files: map[string]string{},
			set:   "site.licences", element: "matlab", want: facts.Unknown, cause: "no collector for site.licences",
		},
		{
			name:  "an instance set has no elements",
			files: map[string]string{"sys/class/net/lo/mtu": "1\n"},
			set:   "network.device", element: "mtu", want: facts.Unknown, cause: "list of instances",
		},
		{
			name:  "an architecture without a table of flags",
			files: map[string]string{"proc/cpuinfo": "processor\t: 0\nisa\t\t: rv64imafdc\n"},
			set:   "cpu.cpuid", element: "AVX2", want: facts.Unknown, cause: "CPU flags are not collected on riscv64",
		},
	}
}

func TestStateSaysWhatWasRead(t *testing.T) {
	t.Parallel()
	for _, tt := range slices.Concat(kernelLookups(t), otherLookups()) {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := Collect(context.Background(), tree(t, tt.files)).Lookup(tt.set, tt.element)
			if got.State != tt.want || got.Value != tt.value || !strings.Contains(got.Cause, tt.cause) {
				t.Errorf("Lookup(%s, %s) = %v %q %q, want %v %q and a cause with %q",
					tt.set, tt.element, got.State, got.Value, got.Cause, tt.want, tt.value, tt.cause)
			}
			if (got.State == facts.Unknown) != (got.Cause != "") {
				t.Errorf("state %v with cause %q", got.State, got.Cause)
			}
		})
	}
}
