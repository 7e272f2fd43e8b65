"""Each block of code, and each command, on each page is run by a test that is named here, or has a reason why not."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.scenes.snippets import snippets

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]

# Page, language, what the block or the command holds (a pattern), and the test in tests/ that runs it; the first fits.
RUN_BY = [
    ("README", "bash", "sandbox --port", "docs/test_readme.py::test_the_sandbox_starts_prints_the_connection_that_is_"),
    ("README", "bash", "AIRFLOW|^mkdir|^airflow|^ls", "docs/test_whole_runs.py::test_the_quick_start_makes_a_clip_of_"),
    ("README", "python", "", "docs/test_whole_runs.py::test_the_quick_start_makes_a_clip_of_each_photo"),
    ("tools", "py", "", "docs/test_tools.py::test_each_example_makes_a_request_with_no_warning_to_give"),
    ("webhooks", "python", "fetch_completed", "airflow/test_webhooks.py::test_a_video_made_elsewhere_starts_the_docum"),
    ("webhooks", "python", "report_failed", "airflow/test_webhooks.py::test_failed_videos_start_the_documented_dag"),
    ("webhooks", "python", "urllib", "airflow/test_webhooks.py::test_the_documented_call"),
    (
        "webhooks",
        "bash",
        "WEBHOOK_SECRET",
        "docs/test_pages.py::test_the_secret_of_webhooks_is_exported_as_the_option_",
    ),
    ("paying-once", "bash", "", "docs/test_pages.py::test_the_ways_out_of_an_unsure_submission_work_by_rest"),
    ("paying-once", "json", "", "docs/test_pages.py::test_the_record_is_one_that_the_operator_reads_and_writes"),
    ("connection", "json", "", "docs/test_pages.py::test_fields_of_the_connection_have_the_defaults_that_are_shown"),
    ("connection|testing", "bash", "AIRFLOW_CONN_", "docs/test_pages.py::test_connections_in_the_environment_resolve"),
    ("connection", "bash", "connections|TEST_CONN", "docs/test_pages.py::test_connection_commands_do_what_they_say"),
    ("wait", "json", "", "docs/test_pages.py::test_the_result_has_the_keys_that_are_shown"),
    ("batch", "json", "", "docs/test_pages.py::test_unsure_items_are_adopted_as_shown"),
    ("download", "json|bash", "", "docs/test_pages.py::test_the_lifecycle_rule_is_one_that_s3_takes"),
    ("examples", "bash", "^cp", "docs/test_pages.py::test_the_examples_are_copied_as_shown_and_are_those_of_the_table"),
    ("install", "text", "", "docs/test_pages.py::test_lines_of_requirements_are_names_that_pages_use"),
    ("install", "bash", "airflow providers", "docs/test_pages.py::test_airflow_finds_the_provider_as_shown"),
    ("metrics", "ini", "", "docs/test_pages.py::test_settings_of_metrics_are_airflows"),
    ("scaling", "bash", "airflow pools", "docs/test_pages.py::test_every_dag_of_the_pages_runs"),
    ("testing", "bash", "_sandbox/", "docs/test_pages.py::test_the_sandbox_can_be_scripted_by_http"),
    ("testing", "bash", "sandbox --port", "docs/test_pages.py::test_the_sandbox_command_starts_as_shown"),
    (
        "testing",
        "bash",
        "^export|^airflow|pytest",
        "docs/test_pages.py::test_the_pytest_example_passes_with_the_commands",
    ),
    ("testing", "python", "", "docs/test_pages.py::test_the_pytest_example_passes_with_the_commands_beside_it"),
    (".*", "python", "@dag|with DAG", "docs/test_pages.py::test_every_dag_of_the_pages_runs"),
    (".*", "python", "", "docs/test_pages.py::test_other_python_runs_against_the_sandbox"),
]

# The same, with the reason.
NOT_RUN = [
    ("README", "bash", "venv|activate|^pip", "`make test-release` does, in an empty home; here the names are checked"),
    ("install|testing", "bash", "^pip|VERSION", "the same"),
    ("quick-start", "bash", "standalone", "it opens ports to other machines; its components run in tests/airflow"),
    ("install", "dockerfile", "", "no Docker where the tests run; the release and the names are checked"),
    (
        "README|CONTRIBUTING|benchmarks",
        "bash",
        "^make",
        "they take minutes; here it is checked that the targets are there",
    ),
    ("measurements|CONTRIBUTING", "text", "", "what a benchmark has printed; a drawing"),
]


def blocks() -> list[tuple[str, str, str, str]]:
    """Return place, page, language and text of each command, and of each block that is none."""
    found = []
    for page in PAGES:
        for snippet in snippets(page):
            texts = snippet.commands if snippet.language == "bash" else [snippet.text]
            found += [(f"{snippet.place}: {text[:40]}", page.stem, snippet.language, text) for text in texts]
    return found


BLOCKS = blocks()


def fits(row: tuple[str, str, str, str], block: tuple[str, str, str, str]) -> bool:
    _, page, language, text = block
    return bool(re.fullmatch(row[0], page) and re.fullmatch(row[1], language) and re.search(row[2], text))


@pytest.mark.parametrize("block", BLOCKS, ids=[place for place, *_ in BLOCKS])
def test_a_block_is_run_or_has_a_reason(block: tuple[str, str, str, str]) -> None:
    assert any(fits(row, block) for row in (*NOT_RUN, *RUN_BY)), "name the test that runs it in RUN_BY"


@pytest.mark.parametrize("row", [*RUN_BY, *NOT_RUN], ids=[f"{row[0]} {row[1]} {row[2]}" for row in [*RUN_BY, *NOT_RUN]])
def test_a_row_is_of_a_block(row: tuple[str, str, str, str]) -> None:
    assert any(fits(row, block) for block in BLOCKS)


@pytest.mark.parametrize("test", sorted({row[3] for row in RUN_BY}))
def test_what_runs_a_block_is_there_and_belongs_to_make_test_docs(test: str) -> None:
    file, _, name = test.partition("::")
    assert f"\ndef {name}" in (ROOT / "tests" / file).read_text()
    shown = subprocess.run(["make", "-n", "test-docs"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"tests/{file}" in shown or f"tests/{Path(file).parent} " in shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_block_is_overlooked(page: Path) -> None:
    # One that is indented otherwise, or says no language, would be left out silently.
    text = page.read_text()
    assert text.count("```") == 2 * (len(snippets(page)) + len(re.findall(r"```\{", text)))


@pytest.mark.parametrize("target", sorted({text.split()[1] for *_, text in BLOCKS if text.startswith("make ")}))
def test_a_target_of_make_is_there(target: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
