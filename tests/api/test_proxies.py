"""The environment's proxies: the same for what waits and for what submits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from airflow_provider_magichour.api import endpoints
from airflow_provider_magichour.api.client import AsyncMagicHourClient, MagicHourClient
from airflow_provider_magichour.api.proxies import proxy_for
from airflow_provider_magichour.api.settings import ClientSettings
from tests.scenes.fake_server import FakeServer, answer

API = "https://api.magichour.ai"
PROXY = "http://127.0.0.1:3128"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the variables of proxies; those that are there already are gone."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        for spelling in (name, name.lower()):
            monkeypatch.delenv(spelling, raising=False)
    return lambda **variables: [monkeypatch.setenv(name, value) for name, value in variables.items()]


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": PROXY}, PROXY),
        ({"https_proxy": PROXY}, PROXY),
        ({"ALL_PROXY": PROXY}, PROXY),
        ({"HTTP_PROXY": PROXY}, None),
        ({"HTTPS_PROXY": "127.0.0.1:3128"}, PROXY),
    ],
)
def test_a_proxy_is_named_for_a_scheme_or_for_all(environment, variables, proxy):
    environment(**variables)
    assert proxy_for(f"{API}/v1/account") == proxy


@pytest.mark.parametrize(
    ("spared", "url", "is_spared"),
    [
        ("api.magichour.ai", API, True),
        ("API.MagicHour.ai", API, True),
        ("api.magichour.ai:443", API, True),
        ("api.magichour.ai:8443", API, False),
        ("api.magichour.ai:8443", f"{API}:8443", True),
        ("magichour.ai", API, True),
        (".magichour.ai", API, True),
        (".magichour.ai", "https://magichour.ai", True),
        ("hour.ai", API, False),
        ("localhost, .magichour.ai", API, True),
        ("*", API, True),
        ("localhost, *", API, True),
        ("127.0.0.1", "https://127.0.0.1:8080", True),
        ("127.0.0.1:8080", "https://127.0.0.1:8080", True),
        ("::1", "https://[::1]:8080", True),
        ("[::1]:8080", "https://[::1]:8080", True),
        ("", API, False),
    ],
)
def test_no_proxy_spares_hosts_hosts_with_a_port_domains_and_all(environment, spared, url, is_spared):
    environment(ALL_PROXY=PROXY, NO_PROXY=spared)
    assert proxy_for(url) == (None if is_spared else PROXY)


def ask(settings: ClientSettings, is_async: bool) -> None:
    async def wait() -> None:
        async with AsyncMagicHourClient(settings) as client:
            await client.send(endpoints.get_account())

    if is_async:
        asyncio.run(wait())
        return
    with MagicHourClient(settings) as client:
        client.send(endpoints.get_account())


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("spared", "is_direct"),
    [
        ("", False),
        ("127.0.0.1", True),
        ("127.0.0.1:{port}", True),
        ("127.0.0.1:1", False),
        ("*", True),
        ("localhost, *", True),
        (".0.0.1", True),
    ],
)
def test_both_clients_take_the_same_way(environment, is_async, spared, is_direct):
    with FakeServer(answer(b"{}")) as api, FakeServer(answer(b"{}")) as proxy:
        environment(HTTP_PROXY=proxy.url, NO_PROXY=spared.format(port=api.url.rpartition(":")[2]))
        ask(ClientSettings(api_key="mhk_k", base_url=api.url), is_async)
        assert (len(api.heads), len(proxy.heads)) == ((1, 0) if is_direct else (0, 1))
        if not is_direct:
            assert proxy.heads[0].startswith(f"GET {api.url}/v1/account HTTP/1.1\r\n")


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_login_of_a_proxy_goes_to_the_proxy_and_the_key_to_the_api(environment, is_async):
    with FakeServer(answer(b"{}")) as proxy:
        environment(HTTP_PROXY=proxy.url.replace("//", "//me:secret@"))
        ask(ClientSettings(api_key="mhk_k", base_url="http://api.test"), is_async)
        head = proxy.heads[0].lower()
        assert "proxy-authorization: basic bwu6c2vjcmv0" in head
        assert "authorization: bearer mhk_k" in head
