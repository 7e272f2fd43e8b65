"""The pages of clips over Airflow's own database and its own way to let people in; the API is the sandbox."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.scenes.clips import ROLES, RUN, Runs, as_role, fill_home, queries, served

pytest.importorskip("airflow.api_fastapi.core_api.security")
if not hasattr(__import__("airflow.plugins_manager").plugins_manager.AirflowPlugin, "react_apps"):
    pytest.skip("Airflow 3.0 has no tabs", allow_module_level=True)

RUN_PAGE = f"/dags/{{}}/runs/{quote(RUN)}"


class Pages:
    """Asks for pages as a role; `text` is what a person reads."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def get(self, path: str, role: str | None = "viewer", *, mount: str = "/magichour-clips", **options: Any) -> Any:
        headers = {} if role == "nobody" else as_role(role)
        return self._client.get(f"{mount}{path}", headers=headers, follow_redirects=False, **options)

    def run(self, dag_id: str, query: str = "", **options: Any) -> Any:
        return self.get(f"{RUN_PAGE.format(dag_id)}{query}", **options)

    def clip(self, dag_id: str, task_id: str, map_index: int = -1, **options: Any) -> Any:
        return self.get(f"{RUN_PAGE.format(dag_id)}/tasks/{task_id}?map_index={map_index}", **options)

    def file(self, dag_id: str, task_id: str, number: int = 0, **options: Any) -> Any:
        return self.get(f"{RUN_PAGE.format(dag_id)}/tasks/{task_id}/file?number={number}", **options)


@pytest.fixture(scope="module")
def pages() -> Iterator[Pages]:
    from fastapi.testclient import TestClient

    fill_home()
    with TestClient(served()) as client:
        yield Pages(client)


@pytest.fixture
def runs(pages: Pages) -> Runs:
    return Runs()


@pytest.fixture
def dag(runs: Runs) -> str:
    """A DAG of the test's own, with a run."""
    dag_id = f"clips_{uuid.uuid4().hex}"
    runs.run(dag_id)
    return dag_id


def text(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", response.text))


def project(sandbox: Any, kind: str = "video", **script: Any) -> str:
    job: str = sandbox.add_job(kind, script=script or {"render_seconds": 0}).id
    return job


# Who may see what


@pytest.mark.parametrize("role", [*ROLES, "nobody"])
def test_everyone_sees_what_airflows_own_xcom_endpoint_shows_them(
    pages: Pages, runs: Runs, dag: str, sandbox: Any, role: str | None
) -> None:
    runs.task(dag, "submit", project=project(sandbox))
    key = "_link_MagicHourProjectLink"
    own = pages.get(f"/dags/{dag}/dagRuns/{quote(RUN)}/taskInstances/submit/xcomEntries/{key}", role, mount="/api/v2")
    task = pages.get(f"/dags/{dag}/dagRuns/{quote(RUN)}/taskInstances/submit", role, mount="/api/v2")
    expected = {200: (200, 200, 302), 403: (403, 403, 403), 401: (303, 303, 303)}
    answers = (pages.run(dag, role=role), pages.clip(dag, "submit", role=role), pages.file(dag, "submit", role=role))
    assert tuple(each.status_code for each in answers) == expected[own.status_code] == expected[task.status_code]
    assert own.status_code == {None: 403, "nobody": 401}.get(role, 200)
    if own.status_code != 200:
        assert not any("submit" in text(each) for each in answers)


def test_who_is_not_logged_in_is_led_to_airflows_login_and_back(pages: Pages, dag: str) -> None:
    answer = pages.clip(dag, "submit", role="nobody")
    back = quote(f"/magichour-clips{RUN_PAGE.format(dag)}/tasks/submit?map_index=-1", safe="")
    assert answer.headers["location"] == f"/api/v2/auth/login?next={back}"
    assert pages.run(dag, "?part=tab", role="nobody").status_code == 401


@pytest.mark.parametrize("way", ["{0}~/runs/{1}", "{0}other/runs/{1}?dag_id=mine", "{0}%2e%2e/runs/{1}"])
def test_a_path_shows_no_other_dag(pages: Pages, runs: Runs, dag: str, way: str) -> None:
    runs.task(dag, "submit", project="p")
    answer = pages.get(way.format("/dags/", quote(RUN)))
    assert answer.status_code == 404
    assert "submit" not in text(answer)


# What is shown


def test_a_clip_has_its_player_its_facts_and_its_tasks(pages: Pages, runs: Runs, dag: str, sandbox: Any) -> None:
    made = project(sandbox)
    given = {"prompt": "move", "model": "kling-3.0", "image": "s3://photos/cat.jpg"}
    runs.task(dag, "clip.submit", 3, project=made, given=given, credits_charged=240)
    runs.task(dag, "clip.wait", 3, project=made, operator="MagicHourProjectSensor", given={"project_id": made})
    written = ["s3://clips/cat.mp4"]
    runs.task(dag, "clip.download", 3, operator="MagicHourDownloadOperator", given={"project_id": made},
              return_value=written)  # fmt: skip
    runs.task(dag, "clip.review", 3, operator="ApprovalOperator", state="deferred")
    for task_id in ("clip.submit", "clip.wait", "clip.download", "clip.review"):
        answer = pages.clip(dag, task_id, 3)
        assert answer.status_code == 200
        for told in ("cat.jpg", "Done", "move", "kling-3.0", "s3://clips/cat.mp4", made, "download", "deferred"):
            assert told in text(answer)
        (src,) = re.findall(r'<video[^>]* data-src="([^"]+)"', answer.text)
        assert src.startswith(f"/magichour-clips/dags/{dag}/")
        assert f'href="https://magichour.ai/my-library?videoId={made}"' in answer.text


@pytest.mark.parametrize(("kind", "element"), [("video", "video"), ("image", "img"), ("audio", "audio")])
def test_each_kind_has_its_element(pages: Pages, runs: Runs, dag: str, sandbox: Any, kind: str, element: str) -> None:
    runs.task(dag, "submit", project=project(sandbox, kind), kind=kind)
    assert re.search(rf"<{element}\b[^>]* data-src=", pages.clip(dag, "submit").text)
    assert re.search(rf"<{element}\b[^>]* data-src=", pages.run(dag).text)


def test_while_it_renders_there_is_its_status_and_since_when(pages: Pages, runs: Runs, dag: str, sandbox: Any) -> None:
    runs.task(dag, "submit", project=project(sandbox, render_seconds=3600))
    runs.task(dag, "wait", state="deferred", operator="MagicHourProjectSensor")
    answer = pages.clip(dag, "submit")
    assert re.search(r"Magic Hour says: (queued|rendering)", text(answer))
    assert "data-since=" in answer.text
    assert "data-refresh=" in answer.text
    assert "data-src" not in answer.text


def test_a_failure_has_its_reason_in_full(pages: Pages, runs: Runs, dag: str, sandbox: Any) -> None:
    made = project(sandbox, render_seconds=0, outcome="error", code="no_source_face", message="Use a face. " * 40)
    runs.task(dag, "submit", project=made)
    runs.task(dag, "wait", project=made, state="failed", operator="MagicHourProjectSensor")
    assert f"no_source_face: {('Use a face. ' * 40).strip()}" in text(pages.clip(dag, "wait"))


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ({"outcome": "canceled"}, "Somebody has canceled it"),
        ({"deleted": True}, "Its result was deleted in Magic Hour"),
    ],
)
def test_a_clip_that_is_no_more_says_so(
    pages: Pages, runs: Runs, dag: str, sandbox: Any, script: dict[str, Any], told: str
) -> None:
    made = project(sandbox, render_seconds=0, **script) if "outcome" in script else project(sandbox)
    if "deleted" in script:
        sandbox.faults.add("get", patch={"enabled": False})
    runs.task(dag, "submit", project=made)
    answer = pages.clip(dag, "submit")
    assert told in text(answer).replace("&#39;", "'")
    assert "data-src" not in answer.text


def test_a_face_detection_is_no_clip(pages: Pages, runs: Runs, dag: str) -> None:
    runs.task(dag, "faces", operator="MagicHourDetectFacesOperator")
    assert "No clips here" in text(pages.run(dag))


def test_a_task_that_failed_without_a_project_leads_to_its_log(pages: Pages, runs: Runs, dag: str) -> None:
    runs.task(dag, "submit", state="failed")
    assert "The log of the failed task says why" in text(pages.clip(dag, "submit"))
    assert "Failed" in text(pages.run(dag))


def test_a_task_of_others_gets_one_kind_line(pages: Pages, runs: Runs, dag: str) -> None:
    runs.task(dag, "report", operator="PythonOperator")
    assert "No clip here: this task does not use Magic Hour." in text(pages.clip(dag, "report"))
    assert "No clips here: no task of this run has used Magic Hour yet." in text(pages.run(dag))


def test_what_is_not_there_is_not_found(pages: Pages, runs: Runs, dag: str) -> None:
    assert pages.clip(dag, "absent").status_code == 404
    assert pages.run(f"{dag}x").status_code == 404
    assert pages.file(dag, "absent").status_code == 404
    assert pages.get("/static/../routes.py").status_code == 404
    assert pages.get("/static/%2e%2e/routes.py").status_code == 404


def test_the_items_of_a_batch_are_counted(pages: Pages, runs: Runs, dag: str) -> None:
    summary = {"schema_version": 1, "total": 3, "counts": {"complete": 2, "failed": 1}}
    runs.task(dag, "batch", operator="MagicHourBatchOperator", return_value=summary)
    assert "complete 2" in text(pages.run(dag))
    assert "Complete 2 Failed 1" in text(pages.clip(dag, "batch"))


@pytest.fixture
def batch(runs: Runs, dag: str, needs_store: None) -> str:
    """A batch of 130 items, of which each tenth has failed and the last one goes on."""
    items: dict[str, Any] = {f"photo {n}": {"status": "complete", "project_id": f"p{n}"} for n in range(130)}
    for n in range(0, 130, 10):
        items[f"photo {n}"] = {"status": "failed", "error": ["no_source_face", "Use a <b>face</b>"], "spent": 5}
    items["photo 129"] |= {"status": "in_flight", "credits_charged": 240}
    link = {"_link_MagicHourProjectLink": "https://magichour.ai/my-library", "credits_charged": 305}
    given = {"tool": "image-to-video", "destination": "s3://clips/"}
    runs.task(dag, "night", operator="MagicHourBatchOperator", state="deferred", given=given, **link)
    runs.remember(dag, "night", "magichour_batch", {"chunks": 2})
    runs.remember(dag, "night", "magichour_batch_adopt", {"photo 1": "p"})
    for number, chunk in enumerate((list(items)[:100], list(items)[100:])):
        runs.remember(dag, "night", f"magichour_batch_{number:04}", {each: items[each] for each in chunk})
    return dag


def test_items_of_a_batch_are_tiles_on_the_runs_page_and_on_its_own(pages: Pages, runs: Runs, batch: str) -> None:
    runs.task(batch, "submit", project="other", credits_charged=10)
    for address, total, filters in (
        (RUN_PAGE.format(batch) + "?", 131, "All 131 Done 117 In progress 1 Failed 13"),
        (f"{RUN_PAGE.format(batch)}/tasks/night?", 130, "All 130 Done 116 In progress 1 Failed 13"),
    ):
        with queries() as asked:
            first = pages.get(address)
        assert len(asked) <= 8, asked
        assert first.text.count('<li class="tile') == 24
        assert f"{total} clips" in text(first)
        assert filters in text(first)
        failed = pages.get(f"{address}show=failed")
        assert failed.text.count('<li class="tile') == 13
        assert "no_source_face: Use a &lt;b&gt;face&lt;/b&gt;" in failed.text
        assert "photo 120" in text(failed)
        assert "data-refresh" in first.text
    assert "315 credits" in text(pages.run(batch))
    mine = pages.clip(batch, "night")
    assert "/tasks/night?map_index=-1&amp;show=failed&amp;page=1" in mine.text
    assert "Tool image-to-video" in text(mine)


def test_what_an_item_has_made_is_played_by_a_fresh_url(
    pages: Pages, runs: Runs, dag: str, sandbox: Any, needs_store: None
) -> None:
    made = project(sandbox, "image")
    runs.task(dag, "night", operator="MagicHourBatchOperator", given={"tool": "ai-image-generator"})
    runs.remember(dag, "night", "magichour_batch_0001", {"a/b <i>": {"status": "complete", "project_id": made}})
    (src,) = re.findall(r'<img data-src="([^"]+)"', pages.clip(dag, "night").text)
    src = src.replace("&amp;", "&")
    answer = pages.get(src.removeprefix("/magichour-clips"))
    assert answer.status_code == 302, answer.text
    assert made in answer.headers["location"]
    assert pages.get(src.removeprefix("/magichour-clips"), None).status_code == 403
    for other in (src.replace("a%2Fb", "c"), src.replace("chunk=1", "chunk=2"), src.replace("/night/", "/day/")):
        assert pages.get(other.removeprefix("/magichour-clips")).status_code == 404


@pytest.mark.parametrize(
    "planted",
    [
        [],
        "x",
        {"cat": 1},
        {"cat": {"status": [], "project_id": "../x", "error": 3, "credits_charged": "9"}},
        '{"cat": {"status": "complete", "project_id": {}}}',
        {"cat": {"status": "<b>", "project_id": "p", "error": [None, {"a": "<b>"}]}},
    ],
)
def test_what_somebody_has_written_into_a_record_breaks_no_page(
    pages: Pages, runs: Runs, dag: str, needs_store: None, planted: Any
) -> None:
    runs.task(dag, "night", operator="MagicHourBatchOperator", given={"tool": ["x"]})
    runs.remember(dag, "night", "magichour_batch_0000", planted)
    for answer in (pages.run(dag), pages.clip(dag, "night")):
        assert answer.status_code == 200
        assert "<b>" not in answer.text


def test_a_run_of_200_clips_has_pages_and_filters_and_asks_the_database_little(
    pages: Pages, runs: Runs, dag: str
) -> None:
    for index in range(200):
        state = "failed" if index % 50 == 0 else "success"
        runs.task(dag, "submit", index, project=f"p{index}", credits_charged=10, state=state)
    with queries() as asked:
        first = pages.run(dag)
    assert len(asked) <= 8, asked
    assert first.text.count('<li class="tile') == 24
    assert "200 clips" in text(first)
    assert "2000 credits" in text(first)
    assert pages.run(dag, "?page=9").text.count('<li class="tile') == 8
    assert pages.run(dag, "?show=failed").text.count('<li class="tile') == 4
    assert pages.run(dag, f"?page={10**20}").text.count('<li class="tile') == 8
    with queries() as asked:
        pages.clip(dag, "submit", 7)
    assert len(asked) <= 8, asked


@pytest.mark.parametrize("query", ["?page=<b>", "?page=-1", "?show=<b>", "?part=<b>", f"?page={'9' * 5000}"])
def test_odd_queries_are_no_error_and_come_back_in_no_answer(pages: Pages, dag: str, query: str) -> None:
    answer = pages.run(dag, query)
    assert answer.status_code in (200, 404)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<b>" not in answer.text


@pytest.mark.parametrize("index", ["<b>", "-2", str(2**31), "1.5", ""])
@pytest.mark.parametrize("page", ["", "/file"])
def test_an_index_that_is_none_is_not_found(pages: Pages, dag: str, index: str, page: str) -> None:
    answer = pages.get(f"{RUN_PAGE.format(dag)}/tasks/submit{page}?map_index={quote(index)}&part=tab")
    assert answer.status_code == 404
    assert "<b>" not in answer.text


@pytest.mark.parametrize("state", ["awaiting_input", "deferred"])
def test_where_a_person_is_asked_the_question_is_airflows_own(pages: Pages, runs: Runs, dag: str, state: str) -> None:
    runs.task(dag, "clip.submit", 0, project="p")
    runs.task(dag, "clip.review", 0, operator="ApprovalOperator", state=state)
    own = f"/api/v2/dags/{dag}/dagRuns/{quote(RUN, safe='')}/taskInstances/clip.review/0/hitlDetails"
    for answer in (pages.run(dag), pages.clip(dag, "clip.review", 0)):
        assert f'data-ask="{own}"' in answer.text


# What others wrote


def test_markup_is_shown_as_it_was_written(pages: Pages, runs: Runs, dag: str, sandbox: Any) -> None:
    bad = "<img src=x onerror=alert(1)>\"'{{ 7 * 7 }}"
    failed = project(sandbox, render_seconds=0, outcome="error", message=bad)
    runs.task(dag, "submit", project=failed, state="failed", given={"prompt": bad, "image": bad, "model": [bad]})
    batch = {"counts": {bad: 1}}
    runs.task(dag, "download", 1, operator="MagicHourDownloadOperator", return_value=[bad], credits_charged=bad)
    runs.task(dag, "batch", 2, operator="MagicHourBatchOperator", return_value=batch)
    answers = [pages.clip(dag, "submit"), pages.clip(dag, "download", 1), pages.clip(dag, "batch", 2), pages.run(dag)]
    for answer in answers:
        assert answer.status_code == 200
        assert "<img src=x" not in answer.text
        assert "49" not in text(answer)
    assert "onerror=alert(1)" in text(answers[0]).replace("&#34;", '"')


def test_no_page_and_no_log_holds_anything_signed(
    pages: Pages, runs: Runs, dag: str, sandbox: Any, caplog: pytest.LogCaptureFixture
) -> None:
    made = project(sandbox)
    urls = {"project_id": made, "download_urls": ["https://videos.magichour.ai/x.mp4?Signature=s1gned"]}
    given = {"image": "https://host/cat.jpg?X-Amz-Signature=s1gned&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=c"}
    runs.task(dag, "submit", project=made, given=given, return_value=urls, download_urls=urls["download_urls"])
    caplog.set_level("DEBUG")
    for answer in (pages.run(dag), pages.clip(dag, "submit"), pages.file(dag, "submit")):
        assert "s1gned" not in answer.text
        assert "Signature" not in answer.text
        assert sandbox.api_key not in answer.text
    location = answer.headers["location"]
    assert location not in caplog.text
    assert "Signature=" not in caplog.text


@pytest.mark.parametrize(
    "link",
    ["https://evil.example/?videoId=x", "javascript:alert(1)", "file:///etc/passwd", "//evil.example", {"a": 1}, None],
)
def test_a_planted_link_leads_nowhere(pages: Pages, runs: Runs, dag: str, link: Any) -> None:
    runs.task(dag, "submit", _link_MagicHourProjectLink=link)
    answer = pages.file(dag, "submit")
    assert (answer.status_code, "location" in answer.headers) == (404, False)
    assert "evil" not in pages.clip(dag, "submit").text


# Files


def test_a_file_is_reached_by_a_url_that_the_api_has_just_made(
    pages: Pages, runs: Runs, dag: str, sandbox: Any
) -> None:
    runs.task(dag, "submit", project=project(sandbox))
    before = len(sandbox.requests.to("get"))
    answer = pages.file(dag, "submit")
    assert answer.status_code == 302
    assert answer.headers["location"].startswith(sandbox.url)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert len(sandbox.requests.to("get")) == before + 1


@pytest.mark.parametrize("number", [-1, 1, 10**9])
def test_a_result_that_is_none_is_no_file(pages: Pages, runs: Runs, dag: str, sandbox: Any, number: int) -> None:
    runs.task(dag, "submit", project=project(sandbox))
    assert pages.file(dag, "submit", number).status_code == 502


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "file:///etc/passwd", "//evil.example/x.mp4", "data:text/html,x"]
)
def test_the_api_itself_leads_no_browser_astray(pages: Pages, runs: Runs, dag: str, sandbox: Any, url: str) -> None:
    made = project(sandbox)
    sandbox.faults.add("get", status=200, json={"id": made, "status": "complete", "downloads": [{"url": url}]})
    runs.task(dag, "submit", project=made)
    answer = pages.file(dag, "submit")
    assert (answer.status_code, "location" in answer.headers) == (502, False)


@pytest.mark.parametrize("slow", [{"hang": True}, {"bytes_per_second": 2}], ids=str)
def test_an_api_that_hangs_costs_a_page_no_more_than_5_seconds(
    pages: Pages, runs: Runs, dag: str, sandbox: Any, slow: dict[str, Any]
) -> None:
    runs.task(dag, "submit", project=project(sandbox))
    sandbox.faults.add("get", **slow)
    answer = pages.clip(dag, "submit")
    assert "Magic Hour did not answer within 4 s" in text(answer)


@pytest.mark.parametrize(
    "trouble",
    [{"status": 401}, {"status": 404}, {"status": 500}, {"status": 200, "text": "<html>"}, {"cut": True}],
    ids=str,
)
def test_trouble_with_the_api_is_a_note_on_the_page(
    pages: Pages, runs: Runs, dag: str, sandbox: Any, trouble: dict[str, Any]
) -> None:
    runs.task(dag, "submit", project=project(sandbox), given={"prompt": "move"})
    sandbox.faults.add("get", **trouble)
    answer = pages.clip(dag, "submit")
    assert answer.status_code == 200
    assert re.search("Magic Hour (could not be asked|does not know this project)", text(answer))
    assert "move" in text(answer)
    assert sandbox.url not in answer.text


def test_the_connection_of_the_task_is_used(pages: Pages, runs: Runs, dag: str, sandbox: Any) -> None:
    runs.task(dag, "submit", project=project(sandbox), given={"magichour_conn_id": "of_another_team"})
    assert "Magic Hour could not be asked" in text(pages.clip(dag, "submit"))


# Airflow


def test_every_answer_has_the_headers(pages: Pages, runs: Runs, dag: str, sandbox: Any) -> None:
    runs.task(dag, "submit", project=project(sandbox))
    for answer in (pages.run(dag), pages.clip(dag, "submit"), pages.file(dag, "submit"), pages.run(dag, role=None),
                   pages.run("absent"), pages.get("/static/clips.js"), pages.get("/x")):  # fmt: skip
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"


def test_below_a_path_every_link_has_it_in_front(
    pages: Pages, runs: Runs, dag: str, sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.task(dag, "submit", project=project(sandbox))
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/team/")
    for query in ("", "?part=tab", "?part=page"):
        for answer in (pages.run(dag, query), pages.clip(dag, "submit")):
            found = re.findall(r'(?:href|src|data-src)="([^"]+)"', answer.text)
            assert {each.split("/")[1] for each in found if not each.startswith("https:")} == {"team"}
    assert pages.run(dag, role="nobody").headers["location"].startswith("/team/api/v2/auth/login?next=%2Fteam%2Fmagich")


def test_pages_have_no_scripts_and_styles_of_their_own(pages: Pages, runs: Runs, dag: str, sandbox: Any) -> None:
    runs.task(dag, "submit", project=project(sandbox))
    for answer in (pages.run(dag), pages.clip(dag, "submit")):
        assert re.findall(r"<script(?! type=\"module\" src=)|<style|\bstyle=|\bon\w+=", answer.text) == []


def test_tables_that_are_otherwise_are_a_note_and_no_error(pages: Pages, runs: Runs, dag: str) -> None:
    from airflow.utils.session import create_session
    from sqlalchemy import text as sql

    runs.task(dag, "submit", project="p")
    with create_session() as session:
        session.execute(sql("ALTER TABLE xcom RENAME TO xcom_of_a_later_airflow"))
    try:
        answers = [pages.run(dag), pages.clip(dag, "submit"), pages.run(dag, "?part=tab")]
    finally:
        with create_session() as session:
            session.execute(sql("ALTER TABLE xcom_of_a_later_airflow RENAME TO xcom"))
    for answer in answers:
        assert answer.status_code == 200
        told = text(answer).replace("&#39;", "'")
        # SQLite's word for it, and that of all others.
        assert re.search(r"Airflow's tables could not be read \((Operational|Programming)Error\)", told)
