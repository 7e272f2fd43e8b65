#!/bin/sh
# Resolves all that is installed for development with a version of Airflow, for the oldest Python supported, into
# constraints/airflow-<minor version>.txt.
# Usage: tools/constraints.sh [AIRFLOW_VERSION...], from the project's folder; by default those that are there.
# Of the groups docs, api, release, stores and mariadb (tools/constraints.sh docs api release stores mariadb) it resolves
# what the newest Airflow's do not have yet.
set -eu
newest=constraints/airflow-3.3.txt

compiled() { # plain name==version lines: nothing of this machine, nor of where its packages come from
    .venv/bin/uv pip compile --quiet --upgrade --python-version 3.11 \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links "$@"
}

# shellcheck disable=SC2046,SC2048 -- versions have no blanks
for airflow in ${*:-$(sed -n 's/^apache-airflow==//p' constraints/airflow-*.txt)}; do
    case $airflow in
        docs | api | release | stores | mariadb)
            # all of them may be in one environment: Sphinx wants an older docutils than the package page's renderer
            [ "$airflow" = docs ] || with="--constraints constraints/docs.txt"
            # shellcheck disable=SC2086 -- with: none, or an option and its value
            compiled --group "$airflow" --constraints $newest ${with:-} |
                grep -vxFf $newest >"constraints/$airflow.txt"
            # Google's provider without its dependencies: the group says why
            [ "$airflow" != stores ] || echo apache-airflow-providers-google | compiled --no-deps - >>constraints/stores.txt
            continue
            ;;
    esac
    # An older Airflow does not run with newer packages (3.0 with pydantic 2.12 refuses new runs), so it gets those
    # of its time. The newest gets today's, but for common-compat: the one that its own constraints pin is what most
    # have, and what this package has to run with.
    groups="--group ui --group production"
    case $airflow in
        3.0.*) newer="--exclude-newer 2025-09-10" groups="--group test" ;;
        3.1.*) newer="--exclude-newer 2026-03-15" groups="--group browser" ;;
        3.2.*) newer="--exclude-newer 2026-06-20" groups="--group browser" ;;
        3.3.*) newer="--exclude-newer-package apache-airflow-providers-common-compat=2026-09-18" ;;
        *) newer= ;;
    esac
    file=constraints/airflow-${airflow%.*}.txt
    # shellcheck disable=SC2086 -- newer: none, or an option and its value; groups: options
    {
        echo "apache-airflow==$airflow"
        echo uv
        # 1.1 brings pandas, pyarrow and a dozen database drivers along; the Amazon provider does without.
        case $airflow in 3.1.*) echo 'sagemaker-studio<1.1' ;; esac
    } | compiled --all-extras $newer $groups \
        --output-file "$file.new" pyproject.toml - >/dev/null
    grep -E '^[a-zA-Z0-9._-]+(\[[a-z,-]+\])?==[^ ]+$' "$file.new" >"$file"
    rm "$file.new"
    echo "$file: $(wc -l <"$file") packages for Airflow $airflow"
done
