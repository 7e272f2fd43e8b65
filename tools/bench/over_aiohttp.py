"""The rival of our own transport: aiohttp, used directly, below the same client."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

import aiohttp

from airflow_provider_magichour.api import client
from airflow_provider_magichour.api.answers import Failure
from airflow_provider_magichour.api.bodies import LONGEST
from airflow_provider_magichour.api.transport import IDLE, Answer


class Reader:
    """One session, as a product would have it: bodies bounded, no cookies, nothing unpacked."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE, ssl=tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    async def get(self, url: str, headers: Mapping[str, str], *, seconds: float) -> Answer | Failure:
        timeout = aiohttp.ClientTimeout(total=seconds)
        try:
            async with self._session.get(url, headers=headers, allow_redirects=False, timeout=timeout) as response:
                body = bytearray()
                async for piece in response.content.iter_any():
                    body += piece
                    if len(body) > LONGEST:
                        response.close()
                        break
                return Answer(response.status, response.headers, bytes(body[: LONGEST + 1]))
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            return Failure(f"the connection was lost ({type(error).__name__})")

    async def aclose(self) -> None:
        await self._session.close()


def take_the_transport_s_place() -> None:
    client.Reader = Reader  # type: ignore[assignment, misc]
