#!/bin/sh
# Makes a virtual environment with any Python from 3.11 on, with the package, Airflow and development tools in it.
# Usage: tools/setup.sh CONSTRAINTS [VENV [GROUP]], from the project's folder; by default .venv, and all of the tools.
# PYTHON=... chooses another interpreter.
set -eu
constraints=$1
venv=${2:-.venv}
group=${3:-dev}

suitable() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null
}

python=
for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14}; do
    if suitable "$candidate"; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "No Python 3.11 to 3.14 found (looked for: ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14})." >&2
    echo "Install one, or name one: make PYTHON=/path/to/python3.12" >&2
    exit 1
fi

echo "Setting up $venv with $("$python" -V) (once; about a minute)"
if ! "$python" -m venv --clear "$venv"; then
    echo "$python cannot make virtual environments; on Debian or Ubuntu: apt install python3-venv" >&2
    exit 1
fi
echo "  uv, which installs fast"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c "$constraints" uv
echo "  Apache Airflow $(sed -n 's/^apache-airflow==//p' "$constraints"), this package, the tools of group $group"
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --compile-bytecode \
    -c "$constraints" -e '.[sandbox]' --group "$group"
