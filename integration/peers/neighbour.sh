#!/usr/bin/env bash
# Runs a command beside another containerd, at its default paths, that starts and
# removes containers all the time, as Docker or k3s do on the machines of people:
#
#   integration/peers/neighbour.sh make integration
#
# Exits with the command's code, or with 1 when the neighbour came to harm. Needs root.
set -euo pipefail

[ $# -gt 0 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=${IMAGEFIT_PEERS:-$(bash "$here/build.sh" | tail -n 1)}
[ ! -e /run/containerd/containerd.sock ] || { echo "neighbour: there is one already: /run/containerd/containerd.sock" >&2; exec "$@"; }

dir=$(mktemp -d)
mkdir -p "$dir/rootfs"
cp "$bin/workload" "$dir/rootfs/"
# As Docker and k3s, with NRI off: its default socket is another one's.
cat >"$dir/config.toml" <<TOML
version = 3
root = "$dir/root"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
[plugins."io.containerd.nri.v1.nri"]
  disable = true
TOML
PATH="$bin:$PATH" "$bin/containerd" --config "$dir/config.toml" >"$dir/log" 2>&1 &
daemon=$!

busy() { # containers, cgroups, mounts and folders come and go
  local n=0 id
  while [ -e "$dir/rootfs" ] && [ ! -e "$dir/stop" ]; do
    n=$((n + 1))
    id=$(printf '%064x' "$n")
    # A mount, as every container of a snapshot has one.
    mkdir -p "/run/containerd/neighbour/$id" && mount -t tmpfs -o size=4k tmpfs "/run/containerd/neighbour/$id"
    "$bin/ctr" -n k8s.io run --rm --rootfs "$dir/rootfs" --cgroup "/k8s.io/$id" "$id" /workload >/dev/null 2>"$dir/ctr" || cat "$dir/ctr" >>"$dir/errors"
    umount "/run/containerd/neighbour/$id" && rmdir "/run/containerd/neighbour/$id"
    echo "$n" >"$dir/count"
  done
}

finish() {
  touch "$dir/stop"
  wait "$loop" 2>/dev/null || true
  { kill "$daemon" && wait "$daemon"; } || harm=1
  echo "neighbour: $(cat "$dir/count" 2>/dev/null || echo 0) containers ran beside" >&2
  if [ -s "$dir/errors" ] || [ ! -s "$dir/count" ] || [ -n "${harm:-}" ]; then
    echo "neighbour: it came to harm:" >&2
    tail -n 5 "$dir/errors" "$dir/log" >&2 || true
    harm=1
  fi
  # Of /run/containerd goes what is empty by now; the rest is not ours.
  rm -rf "$dir" /run/containerd/neighbour
  rm -rf /run/containerd/containerd.sock{,.ttrpc} /run/containerd/io.containerd.mount-manager.v1.bolt
  find /run/containerd -depth -type d -empty -delete 2>/dev/null || true
  rmdir "/sys/fs/cgroup/"{,*/}k8s.io 2>/dev/null || true
}

for _ in $(seq 100); do "$bin/ctr" version >/dev/null 2>&1 && break; sleep 0.1; done
busy &
loop=$!
code=0
trap 'finish; exit 130' INT TERM
"$@" || code=$?
finish
[ "$code" != 0 ] || code=${harm:-0}
exit "$code"
