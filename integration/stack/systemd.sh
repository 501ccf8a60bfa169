#!/usr/bin/env bash
# Runs systemd as process 1 of namespaces of its own, on an overlay of this machine's file system:
# what it starts, and all that they write outside DIR, is gone when it is killed.
#
#   systemd.sh NAME DIR    NAME is that of its cgroup, DIR is the one folder that it shares;
#                          DIR/installed is what is installed beforehand, below /
set -euo pipefail
name=$1 dir=$2

# Its cgroup is the root of all that it sees of them.
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  mkdir -p "/sys/fs/cgroup/$name"
  echo $$ >"/sys/fs/cgroup/$name/cgroup.procs"
else
  for hierarchy in /sys/fs/cgroup/*/; do
    [ "$(stat -f -c %T "$hierarchy")" = cgroupfs ] || continue
    mkdir -p "$hierarchy/$name"
    for file in cpuset.cpus cpuset.mems; do
      [ ! -e "$hierarchy/$file" ] || cat "$hierarchy/$file" >"$hierarchy/$name/$file"
    done
    echo $$ >"$hierarchy/$name/cgroup.procs"
  done
fi

# What outlives a reboot is in the outer namespaces, systemd is process 1 of an inner one.
# shellcheck disable=SC2016 # expanded by the other shell
exec unshare --mount --pid --fork --kill-child --uts --ipc --cgroup --propagation private bash -euo pipefail -c '
dir=$1
disk=$dir/disk root=$dir/disk/root
mkdir -p "$disk"
mount -t tmpfs tmpfs "$disk"
mkdir "$disk/upper" "$disk/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$disk/upper,workdir=$disk/work" "$root"
mount -t sysfs sysfs "$root/sys"
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
else
  mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
  for hierarchy in /sys/fs/cgroup/*/; do
    [ "$(stat -f -c %T "$hierarchy")" = cgroupfs ] || continue
    controller=$(basename "$hierarchy")
    mkdir "$root/sys/fs/cgroup/$controller"
    options=$controller
    [ "$controller" != systemd ] || options=none,name=systemd
    mount -t cgroup -o "$options" cgroup "$root/sys/fs/cgroup/$controller"
  done
fi
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
mkdir -p "$root$dir"
mount --rbind "$dir" "$root$dir"
# What others write into the same folder of this machine meanwhile makes rm fail.
for _ in 1 2 3 4 5; do
  ! rm -rf "$root"/etc/systemd/system/*.wants "$root/var/lib/imagefit" "$root/etc/imagefit" || break
done
[ ! -e "$root/var/lib/imagefit" ]
cp -r "$dir"/installed/. "$root/"
printf "[Unit]\nDescription=tests\n" >"$root/etc/systemd/system/tests.target"
while true; do
  mount -t tmpfs -o mode=755 tmpfs "$root/run"
  unshare --pid --fork --kill-child bash -euo pipefail -c "
    mount -t proc proc \"\$1/proc\"
    exec env -i container=tests PATH=/usr/sbin:/usr/bin:/sbin:/bin \
      chroot \"\$1\" /usr/lib/systemd/systemd --system --unit=tests.target --log-target=console --show-status=1
  " systemd "$root" || true
  umount --recursive --lazy "$root/proc" "$root/run"
done
' systemd "$dir"
