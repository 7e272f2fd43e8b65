#!/bin/sh
# Installs what `make test-production ROWS=mariadb` needs beside Python packages: MariaDB, and what its driver for Python is
# compiled with.
set -eu
. tools/need.sh
need mariadbd mariadb-server-core || true
need my_print_defaults mariadb-client-core || true
need mariadb_config libmariadb-dev || true
need pkg-config pkg-config || true
need cc gcc || true
