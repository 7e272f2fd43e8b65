#!/bin/sh
# Installs the servers of `make test-stores` that are no Python packages: OpenSSH's, and Azurite from npm.
# What cannot be had is no error: its tests are skipped, and say so.
set -eu
azurite=azurite@3.37.0

. tools/need.sh
need sshd openssh-server || true
if need npm npm; then
    echo "  $azurite, from npm"
    npm install --silent --no-audit --no-fund --prefix .venv/azurite "$azurite" ||
        echo "  Azurite is missing, so its tests are skipped"
fi
