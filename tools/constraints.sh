#!/bin/sh
# Resolves all that is installed for development with one version of Airflow, for the oldest Python supported.
# Usage: tools/constraints.sh AIRFLOW_VERSION FILE, from the project's folder.
set -eu
airflow=$1
file=$2
{
    echo "apache-airflow==$airflow"
    echo uv
} | .venv/bin/uv pip compile --quiet --upgrade --python-version 3.11 --all-extras --group dev \
    --no-header --no-annotate --no-emit-index-url --no-emit-find-links --output-file "$file.new" pyproject.toml - >/dev/null
grep -E '^[a-zA-Z0-9._-]+(\[[a-z,-]+\])?==[^ ]+$' "$file.new" >"$file"
rm "$file.new"
echo "$file: $(wc -l <"$file") packages for Airflow $airflow"
