"""The sync and the async client: the only code that opens connections to Magic Hour."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import random
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import IO, Any, Self, TypeVar

import httpx

from airflow_provider_magichour import __version__
from airflow_provider_magichour.api import answers, endpoints
from airflow_provider_magichour.api.addresses import check_address
from airflow_provider_magichour.api.answers import Failure
from airflow_provider_magichour.api.bodies import LONGEST, measured, unpacked
from airflow_provider_magichour.api.endpoints import Call
from airflow_provider_magichour.api.gate import Gate
from airflow_provider_magichour.api.proxies import Proxied
from airflow_provider_magichour.api.repeats import Attempts, backoff, repeat_delay
from airflow_provider_magichour.api.requests import refuse_key
from airflow_provider_magichour.api.schemas import UploadUrl
from airflow_provider_magichour.api.settings import ClientSettings
from airflow_provider_magichour.api.tools import Kind
from airflow_provider_magichour.api.transport import Reader, lost
from airflow_provider_magichour.api.unlogged import unlogged
from airflow_provider_magichour.exceptions import MagicHourInvalidRequestError

T = TypeVar("T")

USER_AGENT = f"airflow-provider-magichour/{__version__}"

ORIGIN = {"User-Agent": USER_AGENT, "X-MagicHour-Source": "airflow"}
"""Headers that tell the API where a request comes from, as the vendor's own integrations send them."""

UPLOAD_PATIENCE = 120.0

MOST_HOPS = 6
"""Most addresses of one download: its URL and five redirects."""


@contextlib.contextmanager
def _connecting() -> Iterator[None]:
    """Turn whatever prevents a connection from being prepared into httpx's ConnectError."""
    try:
        yield
    except Exception as error:  # certificates, proxies, packages for proxies
        raise httpx.ConnectError(str(error)) from error


@functools.cache
def _tls() -> ssl.SSLContext:
    """Built once, as it reads the whole trust store: some 13 ms."""
    return httpx.create_ssl_context()


class _BaseClient:
    """What the two clients share: everything except waiting."""

    def __init__(self, settings: ClientSettings) -> None:
        self.settings = settings

    def _options(self) -> dict[str, Any]:
        return {"transport": Proxied(_tls()), "timeout": self.settings.request_timeout}

    def _request(self, call: Call[Any]) -> dict[str, Any]:
        # Answers are small: unpacking would cost more than it saves.
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        url = call.target
        if call.is_to_api:
            url = self.settings.base_url.rstrip("/") + call.target
            headers |= ORIGIN
            headers["Authorization"] = f"Bearer {self.settings.api_key}"
        if call.json:
            refuse_key(call.json, self.settings.api_key)
        if call.content:
            # Signed stores refuse chunked bodies; whether Magic Hour's takes them is not documented.
            headers["Content-Length"] = str(call.size)
        return {"method": call.method, "url": url, "headers": headers, "json": call.json}

    def _check(self, target: UploadUrl) -> None:
        check_address(target.upload_url, before=self.settings.base_url, base_url=self.settings.base_url)

    def _read(self, call: Call[T], status: int, headers: Mapping[str, str], body: bytes) -> T | Failure:
        try:
            try:
                body = unpacked(body, headers.get("content-encoding"))
            except ValueError as error:
                if 200 <= status < 300:
                    return Failure(f"an answer that cannot be read (HTTP {status}; it is {error})", status=status)
                body = b""
            return answers.read_answer(call, status, headers, body, now=time.time())
        except Exception as error:  # safety net: no answer may end a wait
            return _unreadable(error, status)

    def _delay_or_raise(
        self,
        call: Call[Any],
        failure: Failure,
        *,
        attempt: int,
        began: float,
        patience: float,
        create: Attempts | None = None,
    ) -> float:
        delay = repeat_delay(
            failure,
            attempt=attempt,
            waited=time.monotonic() - began,
            patience=patience,
            chance=random.random(),
            create=create,
        )
        if delay is None:
            believed = create is not None and create.believes_gateway
            source, host = self.settings.source, self.settings.host
            raise answers.error_for(call, failure, source=source, host=host, believed=believed) from None
        logging.getLogger(__name__).info("Could not %s: %s; retrying in %.1f s", call.what, failure.reason, delay)
        return delay


def _unreadable(error: Exception, status: int | None = None) -> Failure:
    return Failure(f"an answer that cannot be read ({type(error).__name__})", status=status)


class MagicHourClient(_BaseClient):
    """Sync client; use it as a context manager. Opens connections lazily and closes them at the end."""

    def __init__(self, settings: ClientSettings) -> None:
        super().__init__(settings)
        self._http: httpx.Client | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None

    def send(self, call: Call[T], *, patience: float = 0.0, create: Attempts | None = None) -> T:
        """Send a call, repeating it in place while that is safe.

        :param patience: seconds during which repeats may begin; 0 for one attempt.
        :param create: is told of the attempts at a create request.
        :raises MagicHourApiError: the API or the network failed.
        :raises MagicHourUnsureSubmissionError: a create request was sent and its answer is not known.
        """
        if call.creates:
            create = create or Attempts()
            if create.first_delay:
                time.sleep(create.first_delay)
        began, attempt = time.monotonic(), 0
        while True:
            if create:
                create.begin()
            attempt += 1
            outcome = self._attempt(call)
            if not isinstance(outcome, Failure):
                return outcome
            if create and outcome.is_gateways:
                create.gateway_failures += 1
            delay = self._delay_or_raise(call, outcome, attempt=attempt, began=began, patience=patience, create=create)
            if create:
                create.made_nothing(delay)
            time.sleep(delay)

    def _attempt(self, call: Call[T]) -> T | Failure:
        with contextlib.ExitStack() as stack:
            stack.enter_context(unlogged())
            try:
                request = self._request(call)
                if call.content:
                    request["content"] = measured(stack.enter_context(call.content()), call.size)
                http = self._connected(call, stack)
                return self._exchanged(call, http, http.build_request(**request))
            except (httpx.RequestError, httpx.InvalidURL) as error:
                return lost(error, self.settings.request_timeout)

    def _exchanged(self, call: Call[T], http: httpx.Client, request: httpx.Request) -> T | Failure:
        try:
            with contextlib.closing(http.send(request, stream=True)) as response:
                body = self._bounded(response)
        except (httpx.RequestError, httpx.InvalidURL, OSError):  # OSError: from the file that is uploaded
            raise
        except Exception as error:  # safety net, as in _read
            return _unreadable(error)
        return self._read(call, response.status_code, response.headers, body)

    def _bounded(self, response: httpx.Response) -> bytes:
        """Read a body until its end, or until it is too long."""
        body, end = bytearray(), time.monotonic() + self.settings.request_timeout
        for piece in response.iter_raw():
            body += piece
            if len(body) > LONGEST:
                break
            if time.monotonic() > end:
                raise httpx.ReadTimeout("the answer does not end", request=response.request)
        return bytes(body[: LONGEST + 1])

    def _connected(self, call: Call[Any], stack: contextlib.ExitStack) -> httpx.Client:
        with _connecting():
            if call.creates:
                # A kept-alive connection that the server has closed in the meantime would look like a lost answer.
                return stack.enter_context(httpx.Client(**self._options()))
            if self._http is None:
                self._http = httpx.Client(**self._options())
            return self._http

    def upload(self, content: Callable[[], IO[bytes]], *, size: int, extension: str, type: Kind = "image") -> UploadUrl:
        """Upload a file, streamed; Magic Hour keeps it for 7 days (inputs and outputs page, 2026-08-22).

        :param content: opens the file; called again when the upload is repeated.
        :param size: of the file in bytes.
        :param extension: of the file, lower case, without the dot.
        :param type: ``image``, ``video`` or ``audio``.
        :return: where it is: ``file_path`` for the request.
        """
        target = self.send(endpoints.upload_urls(extension, type), patience=UPLOAD_PATIENCE).items[0]
        self._check(target)
        self.send(endpoints.put_file(target.upload_url, content, size), patience=UPLOAD_PATIENCE)
        return target

    def pause(self, attempt: int) -> None:
        """Wait after an interrupted stream, longer each time.

        :param attempt: how many were interrupted in a row, from 1.
        """
        time.sleep(backoff(attempt, random.random()))

    @contextlib.contextmanager
    def stream(
        self, url: str, *, start: int = 0, end: int | None = None, if_range: str | None = None
    ) -> Iterator[httpx.Response]:
        """Open a signed URL for reading. The API key is not sent; a few redirects are followed, each one checked.

        :param url: signed URL of a result.
        :param start: first byte wanted.
        :param end: last byte wanted, None for all from the first one on.
        :param if_range: ETag or date of the version of which a part is wanted; of any other version all is sent.
        :raises MagicHourApiError: it, or a redirect, leads where no result of this API can be.
        """
        # Compressed answers would make sizes and ranges meaningless.
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        if start or end is not None:
            headers["Range"] = f"bytes={start}-{'' if end is None else end}"
            headers |= {"If-Range": if_range} if if_range else {}
        with _connecting():
            http = httpx.Client(**self._options())
        with unlogged(), http:
            before = self.settings.base_url
            for _ in range(MOST_HOPS):
                check_address(url, before=before, base_url=self.settings.base_url)
                with http.stream("GET", url, headers=headers) as response:
                    if response.next_request is None:
                        yield response
                        return
                    before, url = url, str(response.next_request.url)
            raise httpx.TooManyRedirects(f"more than {MOST_HOPS} places")


class AsyncMagicHourClient(_BaseClient):
    """Async client that only reads; use it as an async context manager, in one event loop.

    Any number of tasks may use it at a time: its requests leave at the rate of its settings, over as many connections
    as those allow, and after a 429 none leaves until the API's ``Retry-After`` has passed.
    """

    def __init__(self, settings: ClientSettings) -> None:
        super().__init__(settings)
        self.gate = Gate(settings.requests_per_second, settings.max_connections)
        self._reader: Reader | None = None

    def renew(self, settings: ClientSettings) -> None:
        """Use other settings from now on; requests that are under way keep theirs.

        :param settings: those of the same connection, resolved again.
        """
        self.settings = settings
        self.gate.allow(settings.requests_per_second, settings.max_connections)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        if self._reader is not None:
            await self._reader.aclose()
            self._reader = None

    async def send(self, call: Call[T], *, patience: float = 0.0) -> T:
        """Send a call that reads, repeating it in place.

        :param call: a GET of the API; what pays, uploads or deletes is for the sync client.
        :param patience: seconds during which repeats may begin; 0 for one attempt.
        :raises MagicHourApiError: the API or the network failed.
        :raises MagicHourInvalidRequestError: the call does more than read; nothing was sent.
        """
        if call.method != "GET" or not call.is_to_api:
            raise MagicHourInvalidRequestError(f"Could not {call.what}: the async client only reads; use the sync one")
        began, attempt = time.monotonic(), 0
        while True:
            attempt += 1
            outcome = await self._attempt(call)
            if not isinstance(outcome, Failure):
                return outcome
            await asyncio.sleep(self._delay_or_raise(call, outcome, attempt=attempt, began=began, patience=patience))

    async def _attempt(self, call: Call[T]) -> T | Failure:
        async with self.gate:
            outcome = await self._attempt_now(call)
        if isinstance(outcome, Failure) and outcome.status == 429:
            self.gate.pause(outcome.retry_after)
        return outcome

    async def _attempt_now(self, call: Call[T]) -> T | Failure:
        request = self._request(call)
        try:
            reader = self._reader or await self._connected()
        except Exception as error:  # certificates
            return Failure(f"no connection ({answers.why_no_connection(error)})", sent=False)
        try:
            answer = await reader.get(request["url"], request["headers"], seconds=self.settings.request_timeout)
        except Exception as error:  # safety net, as in _read
            return _unreadable(error)
        if isinstance(answer, Failure):
            return answer
        return self._read(call, answer.status, answer.headers, answer.body)

    async def _connected(self) -> Reader:
        tls = await asyncio.to_thread(_tls)
        # Another one may have made it while this one waited.
        self._reader = self._reader or Reader(tls)
        return self._reader
