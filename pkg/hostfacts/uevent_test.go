package hostfacts

import (
	"strings"
	"testing"
)

// captured are messages as the kernel sends them, with | for the zero byte.
func captured(s string) []byte { return []byte(strings.ReplaceAll(s, "|", "\x00")) }

func TestUeventsOfUdevAreIgnored(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, message string
		want          uevent
		ok, concerns  bool
	}{
		{
			"module loaded", "add@/module/xfs|ACTION=add|DEVPATH=/module/xfs|SUBSYSTEM=module|SEQNUM=4211|",
			uevent{"add", "/module/xfs", "module"}, true, true,
		},
		{
			"module unloaded", "remove@/module/nvidia|ACTION=remove|DEVPATH=/module/nvidia|SUBSYSTEM=module|SEQNUM=9|",
			uevent{"remove", "/module/nvidia", "module"}, true, true,
		},
		{
			"pci device", "add@/devices/pci0000:00/0000:00:06.0|ACTION=add|DEVPATH=/devices/pci0000:00/0000:00:06.0|SUBSYSTEM=pci|PCI_CLASS=20000|PCI_ID=1AF4:1041|PCI_SUBSYS_ID=1AF4:1041|PCI_SLOT_NAME=0000:00:06.0|MODALIAS=pci:v00001AF4d00001041|SEQNUM=1201|",
			uevent{"add", "/devices/pci0000:00/0000:00:06.0", "pci"}, true, true,
		},
		{
			"driver bound", "bind@/devices/pci0000:00/0000:00:06.0|ACTION=bind|DEVPATH=/devices/pci0000:00/0000:00:06.0|SUBSYSTEM=pci|DRIVER=virtio-pci|SEQNUM=1|",
			uevent{"bind", "/devices/pci0000:00/0000:00:06.0", "pci"}, true, true,
		},
		{
			"cpu off line", "offline@/devices/system/cpu/cpu3|ACTION=offline|DEVPATH=/devices/system/cpu/cpu3|SUBSYSTEM=cpu|SEQNUM=2|",
			uevent{"offline", "/devices/system/cpu/cpu3", "cpu"}, true, true,
		},
		{
			"interface of a pod", "add@/devices/virtual/net/veth12|ACTION=add|DEVPATH=/devices/virtual/net/veth12|SUBSYSTEM=net|INTERFACE=veth12|IFINDEX=9|SEQNUM=3|",
			uevent{"add", "/devices/virtual/net/veth12", "net"}, true, false,
		},
		{
			"disk changed", "change@/devices/pci0000:00/0000:00:02.0/virtio1/block/vda|ACTION=change|DEVPATH=/x|SUBSYSTEM=block|SEQNUM=4|",
			uevent{"change", "/devices/pci0000:00/0000:00:02.0/virtio1/block/vda", "block"}, true, false,
		},
		{
			"queue of a device", "add@/devices/pci0000:00/net/eth0/queues/rx-0|ACTION=add|DEVPATH=/x|SUBSYSTEM=queues|SEQNUM=4|",
			uevent{"add", "/devices/pci0000:00/net/eth0/queues/rx-0", "queues"}, true, false,
		},
		{"udev's", "libudev|\xfe\xed\xca\xfe(|||", uevent{}, false, false},
		{"no zero byte", "add@/module/xfs", uevent{}, false, false},
		{"no path", "add@|SUBSYSTEM=module|", uevent{}, false, false},
		{"no action", "@/module/xfs|SUBSYSTEM=module|", uevent{}, false, false},
		{"empty", "", uevent{}, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, ok := parseUevent(captured(tt.message))
			if got != tt.want || ok != tt.ok {
				t.Errorf("got %+v %v, want %+v %v", got, ok, tt.want, tt.ok)
			}
			if got.concernsFacts() != tt.concerns {
				t.Errorf("concerns facts: %v, want %v", got.concernsFacts(), tt.concerns)
			}
		})
	}
}

func FuzzParseUevent(f *testing.F) {
	f.Add(captured("add@/module/xfs|ACTION=add|DEVPATH=/module/xfs|SUBSYSTEM=module|SEQNUM=4211|"))
	f.Add(captured("libudev|\xfe\xed\xca\xfe(|||"))
	f.Fuzz(func(t *testing.T, message []byte) {
		e, ok := parseUevent(message)
		if ok && (e.action == "" || e.path == "") || !ok && e != (uevent{}) {
			t.Errorf("%+v %v of %q", e, ok, message)
		}
		e.concernsFacts()
	})
}
