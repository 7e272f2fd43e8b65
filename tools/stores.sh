#!/bin/sh
# Installs the servers of `make test-stores` that are no Python packages: OpenSSH's, and Azurite from npm.
# apt-get is asked only by root and where no systemd runs: elsewhere Debian would start what it installs, for everybody.
# What cannot be had is no error: its tests are skipped, and say so.
set -eu
azurite=azurite@3.37.0

need() { # need COMMAND PACKAGE
    PATH=$PATH:/usr/sbin command -v "$1" >/dev/null && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && [ ! -d /run/systemd/system ]; then
        echo "  $2, from Debian"
        apt-get update -qq && apt-get install -y -qq --no-install-recommends "$2" >/dev/null && return
    fi
    echo "  $1 is missing, so its tests are skipped (on Debian: apt-get install $2)"
    return 1
}

export DEBIAN_FRONTEND=noninteractive
need sshd openssh-server || true
if need npm npm; then
    echo "  $azurite, from npm"
    npm install --silent --no-audit --no-fund --prefix .venv/azurite "$azurite" ||
        echo "  Azurite is missing, so its tests are skipped"
fi
