#!/usr/bin/env bash
# Sees before anything is built that what README.md lists under "What it needs" is here. Debian packages that are
# missing are installed where that is possible; for everything else it names the thing, the version and the next step.
# usage: tools.sh build|testbed
set -euo pipefail
what=$1
cd "$(dirname "$0")/.."

fail() {
  printf 'make: %s\n' "$@" >&2
  exit 1
}
# Whether the first version is at least the second.
at_least() { printf '%s\n%s\n' "$2" "$1" | sort --check=quiet --version-sort; }

[ "$(uname -sm)" = "Linux x86_64" ] || fail "this is $(uname -sm); only Linux on x86_64 is built and tested"
if [ "$what" = testbed ] && [ "$(id -u)" != 0 ]; then
  fail "the testbed makes network namespaces and cgroups, so this needs root: run it with sudo or in a privileged container"
fi
if [ "$what" = testbed ] && [ ! -e /etc/hosts ]; then
  fail "/etc/hosts is missing, and containerd gives every Pod a copy of it: echo '127.0.0.1 localhost' > /etc/hosts"
fi

packages=()
command -v cc > /dev/null || packages+=(gcc libc6-dev)
if [ "$what" = testbed ]; then
  # Git for the commit before this one, with which the test of the upgrade begins; Python for what its index has.
  command -v git > /dev/null || packages+=(git)
  command -v python3 > /dev/null || packages+=(python3)
  python3 -m pip --version > /dev/null 2>&1 || packages+=(python3-pip)
fi
if [ "${#packages[@]}" -gt 0 ]; then
  install="apt-get install --yes --no-install-recommends ${packages[*]}"
  command -v apt-get > /dev/null || fail "missing: ${packages[*]} (Debian's names); install them"
  [ "$(id -u)" = 0 ] || fail "missing: ${packages[*]}" "run: sudo $install"
  echo "installing Debian packages that are missing: ${packages[*]}"
  log=$(mktemp)
  if ! { apt-get update -q && DEBIAN_FRONTEND=noninteractive $install; } > "$log" 2>&1; then
    cat "$log" >&2
    fail "apt-get could not install ${packages[*]}; what it said is above" "install them, then run make again"
  fi
  rm "$log"
fi

by_rustup="install Rust by rustup, https://rustup.rs, which takes the version from rust-toolchain.toml"
needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
command -v cargo > /dev/null || fail "cargo is missing: $by_rustup"
# Rustup gets the compiler first if it is not there, and says so.
rust=$(rustc --version) || fail "rustc does not run; what it said is above"
rust=${rust#rustc } rust=${rust%% *}
at_least "$rust" "$needed" || fail "rustc is $rust, $needed or later is needed: $by_rustup, and put ~/.cargo/bin first in PATH"

[ "$what" = testbed ] || exit 0
command -v go > /dev/null || fail "go is missing: install Go 1.26 or later, https://go.dev/dl, and put its bin folder in PATH"
go=$(go env GOVERSION)
at_least "${go#go}" 1.26 || fail "go is ${go#go}, 1.26 or later is needed: https://go.dev/dl"
