"""One waiting job in each of the ways that are compared. Imports are inside: each process pays for its own alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

DAY = 86400.0
FLOOR_CONNECTIONS = 50
SHARED_CONNECTIONS = 50
"""Of the libraries' shared clients: as the floor, and as few as the bound allows ours."""

Job = Callable[[int], Awaitable[None]]
"""Waits for the project of that number, for good unless something goes wrong."""


async def drained(trigger: Any) -> None:
    """Run a trigger as the triggerer does: it reads events until there are no more."""
    async for _ in trigger.run():
        return


def ours(port: int, interval: float | None) -> Job:
    from airflow_provider_magichour.triggers import MagicHourProjectTrigger

    def job(number: int) -> Awaitable[None]:
        # Without an interval the wait is an old one, as after a restart: the first look is due at once.
        now = time.time()
        return drained(
            MagicHourProjectTrigger(
                project_id=f"p{number}",
                kind="video",
                magichour_conn_id="magichour_default",
                started_at=now if interval else now - 600,
                deadline=now + DAY,
                poll_interval=interval,
            )
        )

    return job


def ours_over_aiohttp(port: int, interval: float | None) -> Job:
    from tools.bench import over_aiohttp

    over_aiohttp.take_the_transport_s_place()
    return ours(port, interval)


def dbt(port: int, interval: float | None) -> Job:
    from airflow.providers.dbt.cloud.triggers.dbt import DbtCloudRunJobTrigger

    def job(number: int) -> Awaitable[None]:
        return drained(
            DbtCloudRunJobTrigger(
                conn_id="dbt_bench",
                run_id=number,
                end_time=time.time() + DAY,
                poll_interval=interval or 5.0,
                account_id=1,
            )
        )

    return job


def http_provider(port: int, interval: float | None) -> Job:
    """HttpSensor's trigger: the provider's cheapest that looks again by itself. It goes on while the answer is 404."""
    from airflow.providers.http.triggers.http import HttpSensorTrigger

    def job(number: int) -> Awaitable[None]:
        return drained(
            HttpSensorTrigger(
                endpoint=f"absent/{number}", http_conn_id="http_bench", method="GET", poke_interval=interval or 5.0
            )
        )

    return job


def sdk(port: int, interval: float | None) -> Job:
    """The vendor's async client, one for all jobs. Its own ``check_result`` blocks the loop, so it is not used."""
    from magic_hour import AsyncClient

    client = AsyncClient(token="mhk_bench", base_url=f"https://127.0.0.1:{port}")

    async def job(number: int) -> None:
        while True:
            project = await client.v1.video_projects.get(id=f"p{number}")
            if project.status != "rendering":
                return
            await asyncio.sleep(interval or 5.0)

    return job


def naive(port: int, interval: float | None) -> Job:
    """httpx as its first page shows it: a client for each poll."""
    import httpx

    async def job(number: int) -> None:
        while True:
            async with httpx.AsyncClient(timeout=120) as client:
                answer = await client.get(
                    f"https://127.0.0.1:{port}/v1/video-projects/p{number}",
                    headers={"Authorization": "Bearer mhk_bench"},
                )
            if answer.json()["status"] != "rendering":
                return
            await asyncio.sleep(interval or 5.0)

    return job


def aiohttp_one_session(port: int, interval: float | None) -> Job:
    """aiohttp as its documentation says: one session for all jobs, its answers parsed as JSON."""
    import aiohttp

    session: aiohttp.ClientSession | None = None

    async def job(number: int) -> None:
        nonlocal session
        if session is None:
            connector = aiohttp.TCPConnector(limit=SHARED_CONNECTIONS, keepalive_timeout=60)
            session = aiohttp.ClientSession(connector=connector, headers={"Authorization": "Bearer mhk_bench"})
        while True:
            async with session.get(f"https://127.0.0.1:{port}/v1/video-projects/p{number}") as answer:
                project = await answer.json()
            if project["status"] != "rendering":
                return
            await asyncio.sleep(interval or 5.0)

    return job


def httpx2_one_client(port: int, interval: float | None) -> Job:
    """httpx2 with one client for all jobs, told to keep its connections longer than looks lie apart."""
    import httpx2

    limits = httpx2.Limits(max_connections=SHARED_CONNECTIONS, keepalive_expiry=60)
    client = httpx2.AsyncClient(timeout=120, limits=limits, headers={"Authorization": "Bearer mhk_bench"})

    async def job(number: int) -> None:
        while True:
            answer = await client.get(f"https://127.0.0.1:{port}/v1/video-projects/p{number}")
            if answer.json()["status"] != "rendering":
                return
            await asyncio.sleep(interval or 5.0)

    return job


def floor(port: int, interval: float | None) -> Job:
    from tools.bench.floor import Pool

    pool = Pool("127.0.0.1", port, FLOOR_CONNECTIONS)

    async def job(number: int) -> None:
        while True:
            project = await pool.get(f"/v1/video-projects/p{number}")
            if project["status"] != "rendering":
                return
            await asyncio.sleep(interval or 5.0)

    return job


VARIANTS: dict[str, tuple[str, Callable[[int, float | None], Job]]] = {
    "floor": ("floor: keep-alive by hand", floor),
    "ours": ("ours: MagicHourProjectTrigger", ours),
    "over_aiohttp": ("ours over aiohttp", ours_over_aiohttp),
    "aiohttp": ("aiohttp, one session", aiohttp_one_session),
    "httpx2": ("httpx2, one client", httpx2_one_client),
    "dbt": ("dbt Cloud's trigger", dbt),
    "http": ("HTTP provider's sensor trigger", http_provider),
    "sdk": ("vendor's SDK, one async client", sdk),
    "naive": ("httpx, a client for each poll", naive),
}
