#!/usr/bin/env bash
# Builds the real programs that the integration tests and the demo run:
# containerd with its shim and ctr, runc, a registry, the small program that test
# images hold, older containerds, a kubelet, a control plane and the tools that make
# indexes. Each part is built once and kept.
set -euo pipefail

usage() {
  cat <<'TXT'
usage: build.sh [--help] [PART...]

Builds the peers of the integration tests, each once, from the versions pinned
in the go.mod beside this script:

  containerd   containerd, containerd-shim-runc-v2, ctr
  runc         runc, with seccomp (needs gcc, pkg-config and libseccomp-dev;
               installed by apt-get where they are missing and we are root)
  registry     CNCF distribution, a registry without the referrers API
  workload     the small static program inside every test image
  containerd17 the same three of containerd 1.7, in a folder containerd17
  containerd20, containerd21, containerd22, containerd23
               the same of containerd 2.0 to 2.3, each in a folder of its own
  kubelet      kubelet; takes 2.5 GiB of memory and, on two cores, some minutes
  controlplane kube-apiserver and kube-scheduler, which share most packages with
               the kubelet and, after it, take about as long once more
  etcd         etcd, under the control plane
  imagetools   crane, ko, oras and regctl, which make indexes each in its own way

and of several parts at once:

  demo         the first four; this is the default
  cluster      controlplane and etcd
  all          all parts but containerd 2.0 to 2.3
  matrix       all parts but the kubelet and the control plane

The last line on stdout is a folder that holds every program asked for; everything
else goes to stderr. A part is rebuilt when its go.mod, go.sum, the Go version or the
build flags change.

environment:
  IMAGEFIT_CACHE   where to keep what was built
                   (default: $XDG_CACHE_HOME/imagefit, else ~/.cache/imagefit)
TXT
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${IMAGEFIT_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/imagefit}/peers

say() { printf 'peers: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# What each part is built from: folder, packages, environment and flags.
folder_of() {
  case $1 in
    workload) echo "$here/../workload" ;;
    kubelet | controlplane) echo "$here/kubernetes" ;;
    *) echo "$here/$1" ;;
  esac
}

packages_of() {
  local c=github.com/containerd/containerd/v2/cmd k=k8s.io/kubernetes/cmd
  case $1 in
    containerd17) c=${c/\/v2/} && echo "$c/containerd $c/containerd-shim-runc-v2 $c/ctr" ;;
    containerd | containerd2[0-3]) echo "$c/containerd $c/containerd-shim-runc-v2 $c/ctr" ;;
    kubelet) echo "$k/kubelet" ;;
    controlplane) echo "$k/kube-apiserver $k/kube-scheduler" ;;
    etcd) echo go.etcd.io/etcd/server/v3 ;;
    runc) echo github.com/opencontainers/runc ;;
    registry) echo github.com/distribution/distribution/v3/cmd/registry ;;
    imagetools) echo github.com/google/go-containerregistry/cmd/crane github.com/google/ko \
      github.com/regclient/regclient/cmd/regctl oras.land/oras/cmd/oras ;;
    workload) echo . ;;
  esac
}

# The program's name, where its package has another.
name_of() { case $1 in etcd) echo etcd ;; esac; }

flags_of() { case $1 in runc) echo "-tags=seccomp" ;; esac; }
cgo_of() { case $1 in runc) echo 1 ;; *) echo 0 ;; esac; }

version_of() {
  local module
  case $1 in
    containerd17) module=github.com/containerd/containerd ;;
    containerd | containerd2[0-3]) module=github.com/containerd/containerd/v2 ;;
    kubelet | controlplane) module=k8s.io/kubernetes ;;
    etcd) module=go.etcd.io/etcd/server/v3 ;;
    runc) module=github.com/opencontainers/runc ;;
    registry) module=github.com/distribution/distribution/v3 ;;
    imagetools) module=github.com/google/go-containerregistry ;;
    workload) echo local; return ;;
  esac
  awk -v m="$module" '$1 == m {print $2; exit}' "$(folder_of "$1")/go.mod"
}

hash_of() {
  local dir sources
  dir=$(folder_of "$1")
  case $1 in workload) sources=("$dir/main.go") ;; *) sources=("$dir/go.mod" "$dir/go.sum") ;; esac
  {
    cat "${sources[@]}"
    echo "$toolchain"
    echo "$(packages_of "$1") $(flags_of "$1") $(cgo_of "$1")"
  } | sha256sum | cut -c1-12
}

# runc is linked against libseccomp; a cache that came from another machine
# may be here without the library.
need_seccomp() {
  command -v gcc >/dev/null && command -v pkg-config >/dev/null && pkg-config --exists libseccomp && return
  command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] ||
    die "runc needs gcc, pkg-config and the libseccomp headers: install them (Debian: apt-get install gcc libc6-dev pkg-config libseccomp-dev)"
  say "installing gcc, pkg-config and libseccomp-dev"
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
    gcc libc6-dev pkg-config libseccomp-dev; } >&2 || die "apt-get could not install them; see above"
}

# The tests of imagefit create compile programs and run them on emulated CPUs.
need_emulators() {
  command -v clang >/dev/null && command -v qemu-x86_64 >/dev/null && command -v aarch64-linux-gnu-gcc >/dev/null && return
  command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] ||
    die "the tests need clang, qemu-user and a compiler for arm64: install them (Debian: apt-get install clang qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross)"
  say "installing clang, qemu-user and gcc-aarch64-linux-gnu"
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
    clang libc6-dev qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross; } >&2 || die "apt-get could not install them; see above"
}

# The tests of pages point, click and type in a browser.
need_browser() {
  command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null && return
  command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] ||
    die "the tests need chromium: install it (Debian: apt-get install chromium)"
  say "installing chromium"
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends chromium; } >&2 ||
    die "apt-get could not install it; see above"
}

# The catalog of images is tested in PostgreSQL too. The tests make their own cluster, so
# the package is not to make one.
need_postgres() {
  compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null && return
  command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] ||
    die "the tests need PostgreSQL: install it (Debian: apt-get install postgresql)"
  say "installing postgresql"
  mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] || echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
    postgresql; } >&2 || die "apt-get could not install it; see above"
}

# Slurm is Debian's: the tests run its controller and its node daemon.
need_slurm() {
  command -v slurmctld >/dev/null && command -v slurmd >/dev/null && command -v sbatch >/dev/null && command -v munged >/dev/null && return
  command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] ||
    die "the tests need Slurm and munge: install them (Debian: apt-get install slurmctld slurmd slurm-client munge)"
  say "installing slurmctld, slurmd, slurm-client and munge"
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
    slurmctld slurmd slurm-client munge; } >&2 || die "apt-get could not install them; see above"
}

# The units are tested under a systemd of their own, which this machine need not run.
need_systemd() {
  [ -x /usr/lib/systemd/systemd ] && return
  command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] ||
    die "the tests need systemd, which need not run: install it (Debian: apt-get install systemd)"
  say "installing systemd"
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends systemd; } >&2 ||
    die "apt-get could not install it; see above"
}

# Prometheus is taken out of Debian's package: installed, it would run as a service. Sets
# the folder that holds it in $built.
unpack_prometheus() {
  local folder=$cache/prometheus temp
  built=$folder/usr/bin
  [ ! -x "$built/prometheus" ] || return 0
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || die "the tests need prometheus and promtool, which are taken from Debian's package"
  say "fetching prometheus"
  temp=$(mktemp -d "$cache/.build-XXXXXX")
  { apt-get update -q && (cd "$temp" && apt-get download -q prometheus && dpkg-deb -x prometheus_*.deb files); } >&2 ||
    die "apt-get could not fetch it; see above"
  mv -T "$temp/files" "$folder"
  rm -rf "$temp"
}

# The RPM packages are installed by a real rpm, and the Debian ones by the machine's own dpkg.
need_rpm() {
  command -v rpm >/dev/null && return
  command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || die "the tests need rpm: install it (Debian: apt-get install rpm)"
  say "installing rpm"
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends rpm; } >&2 ||
    die "apt-get could not install it; see above"
}

# A compile says nothing for minutes, so a line now and then shows that it still
# runs. In the background go would not hear Ctrl-C: the trap ends it.
compile() {
  local part=$1 out=$2 start=$SECONDS told=$SECONDS pid
  # shellcheck disable=SC2046 # packages and flags are lists of words
  (cd "$(folder_of "$part")" && GOFLAGS='' GOWORK=off CGO_ENABLED=$(cgo_of "$part") \
    exec go build -trimpath -buildvcs=false -ldflags='-s -w' $(flags_of "$part") -o "$out/$(name_of "$part")" $(packages_of "$part")) >&2 9>&- &
  pid=$!
  # shellcheck disable=SC2064 # the pid of now
  trap "kill $pid 2>/dev/null; exit 130" INT TERM
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.5
    if ((SECONDS - told >= 20)); then
      told=$SECONDS
      say "$part: still building, $((SECONDS - start)) s"
    fi
  done
  trap - INT TERM
  wait "$pid"
}

# Sets the folder that holds the part in $built.
build() {
  local part=$1 start=$SECONDS temp
  built=$cache/$part-$(version_of "$part")-$(hash_of "$part")
  if [ -d "$built" ]; then
    [ "$part" != runc ] || "$built/runc" --version >/dev/null 2>&1 || need_seccomp
    say "$part: ready"
    return
  fi
  [ "$part" != runc ] || need_seccomp
  say "$part: building $(version_of "$part") (kept for the next time)"
  temp=$(mktemp -d "$cache/.build-$part-XXXXXX")
  compile "$part" "$temp" || { rm -rf "$temp"; die "$part: build ended with an error; see above"; }
  chmod 755 "$temp"
  mv -T "$temp" "$built"
  say "$part: built in $((SECONDS - start)) s"
}

# One folder of links to all programs, named after what it points at. Those of the
# older containerds have the same names and so a folder for each version.
link() {
  local farm temp dir name
  farm=$cache/bin-$(printf '%s\n' "$@" | sha256sum | cut -c1-12)
  if [ ! -d "$farm" ]; then
    temp=$(mktemp -d "$cache/.bin-XXXXXX")
    for dir in "$@"; do
      case ${dir##*/} in
        containerd[0-9]*) name=${dir##*/} && ln -s "$dir" "$temp/${name%%-*}" ;;
        *) ln -s "$dir"/* "$temp/" ;;
      esac
    done
    chmod 755 "$temp"
    mv -T "$temp" "$farm"
  fi
  echo "$farm"
}

case ${1:-} in -h | --help) usage; exit 0 ;; esac
[ $# -gt 0 ] || set -- demo
parts=()
for part in "$@"; do
  case $part in
    demo) parts+=(runc registry workload containerd) ;;
    all) parts+=(runc registry workload containerd containerd17 kubelet controlplane etcd imagetools) ;;
    cluster) parts+=(controlplane etcd) ;;
    matrix) parts+=(runc registry workload containerd containerd17 imagetools containerd20 containerd21 containerd22 containerd23) ;;
    *) parts+=("$part") ;;
  esac
done
for part in "${parts[@]}"; do
  [ -n "$(packages_of "$part")" ] || { usage >&2; die "unknown part: $part"; }
done
command -v go >/dev/null || die "go is not on PATH: install Go (https://go.dev/dl) first"

toolchain=$(go env GOVERSION GOOS GOARCH)

[ "$(uname -s)" = Linux ] || die "the peers run on Linux only"

mkdir -p "$cache"
cache=$(cd "$cache" && pwd) # go build -o runs in other folders
exec 9>"$cache/lock"
if ! flock -n 9; then
  say "another build is running, waiting for it"
  flock 9
fi
# What an interrupted build left behind; no other build runs while we have the lock.
rm -rf "$cache"/.build-* "$cache"/.bin-*

case " $* " in *" all "* | *" matrix "*) need_emulators; need_browser; need_postgres ;; esac
case " $* " in *" all "*) need_slurm; need_systemd; need_rpm ;; esac
folders=()
for part in $(printf '%s\n' "${parts[@]}" | awk '!seen[$0]++'); do
  build "$part"
  folders+=("$built")
done
case " $* " in *" all "*) unpack_prometheus && folders+=("$built") ;; esac
link "${folders[@]}"
