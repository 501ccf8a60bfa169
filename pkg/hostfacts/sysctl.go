package hostfacts

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/imagefit/imagefit/pkg/facts"
)

// sysctls are the settings an image may depend on. None of them identifies the
// node, and none changes by itself.
const sysctls = `
fs.aio-max-nr fs.file-max fs.inotify.max_queued_events fs.inotify.max_user_instances
fs.inotify.max_user_watches fs.nr_open fs.pipe-max-size kernel.apparmor_restrict_unprivileged_userns
kernel.io_uring_disabled kernel.kptr_restrict kernel.msgmax kernel.numa_balancing kernel.perf_event_paranoid
kernel.pid_max kernel.randomize_va_space kernel.sched_rt_runtime_us kernel.sem kernel.shmall kernel.shmmax
kernel.shmmni kernel.threads-max kernel.unprivileged_bpf_disabled kernel.unprivileged_userns_clone
kernel.yama.ptrace_scope net.core.bpf_jit_enable net.core.netdev_max_backlog net.core.rmem_default
net.core.rmem_max net.core.somaxconn net.core.wmem_default net.core.wmem_max net.ipv4.ip_forward
net.ipv4.ip_local_port_range net.ipv4.ip_unprivileged_port_start net.ipv4.tcp_congestion_control
net.ipv4.tcp_rmem net.ipv4.tcp_wmem user.max_user_namespaces vm.max_map_count vm.mmap_min_addr vm.nr_hugepages
vm.nr_overcommit_hugepages vm.overcommit_memory vm.overcommit_ratio vm.swappiness vm.unprivileged_userfaultfd
vm.zone_reclaim_mode`

// collectSysctl reads the settings. One that this kernel does not have is absent;
// but what is missing below net may only be hidden, because a network namespace
// shows just a part of it.
func collectSysctl(h host, out *facts.Features) error {
	if err := h.root.stat("proc/sys/kernel"); err != nil {
		return err
	}
	values := map[string]string{}
	for _, name := range strings.Fields(sysctls) {
		text, err := readTrimmed(h.root, "proc/sys/"+strings.ReplaceAll(name, ".", "/"))
		missing := errors.Is(err, fs.ErrNotExist)
		switch {
		case err == nil:
			values[name] = strings.Join(strings.Fields(text), " ")
		case missing && strings.HasPrefix(name, "net."):
			out.Unknown["kernel.sysctl/"+name] = name + " is not visible in this network namespace"
		case !missing:
			out.Unknown["kernel.sysctl/"+name] = facts.CauseOf(err)
		}
	}
	out.Attributes["kernel.sysctl"] = values
	return nil
}
