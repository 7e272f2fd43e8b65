# Sourced by the scripts that install servers for tests: `need COMMAND PACKAGE` installs what is missing from Debian.
# apt-get is asked only by root and where no systemd runs: elsewhere Debian would start what it installs, for everybody.
# shellcheck shell=sh
export DEBIAN_FRONTEND=noninteractive

need() { # need COMMAND PACKAGE
    PATH=$PATH:/usr/sbin command -v "$1" >/dev/null && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && [ ! -d /run/systemd/system ]; then
        echo "  $2, from Debian"
        apt-get update -qq && apt-get install -y -qq --no-install-recommends "$2" >/dev/null && return
    fi
    echo "  $1 is missing, so its tests are skipped (on Debian: apt-get install $2)"
    return 1
}
