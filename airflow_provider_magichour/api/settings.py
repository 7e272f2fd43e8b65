"""From an Airflow connection to the settings of a client. Pure."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Protocol
from urllib.parse import urlsplit

from airflow_provider_magichour.api.numbers import number_of
from airflow_provider_magichour.api.signatures import discreet, shown
from airflow_provider_magichour.exceptions import MagicHourInvalidRequestError
from airflow_provider_magichour.extras import CONNECTION_EXTRAS

KEY_PAGE = "https://magichour.ai/developer?tab=api-keys"
DEFAULT_BASE_URL = "https://api.magichour.ai"


class Connection(Protocol):
    """What is read of an Airflow connection."""

    @property
    def host(self) -> str | None: ...
    @property
    def schema(self) -> str | None: ...
    @property
    def port(self) -> int | None: ...
    @property
    def password(self) -> str | None: ...


def settings_from(connection: Connection, extra: Mapping[str, Any], conn_id: str) -> ClientSettings:
    """Return the settings of a connection.

    :param connection: the resolved connection.
    :param extra: its extra, decoded.
    :param conn_id: its id, for messages.
    :raises MagicHourInvalidRequestError: naming the field, its value and what is allowed; never the key.
    """
    if not isinstance(extra, Mapping):
        raise MagicHourInvalidRequestError(f"Extra of connection {conn_id!r}: a JSON object is needed")
    key = (connection.password or "").strip()
    if not key:
        raise MagicHourInvalidRequestError(
            f"Connection {conn_id!r} has no API key: set its password; get a key at {KEY_PAGE}"
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise MagicHourInvalidRequestError(
            f"The API key of connection {conn_id!r} has characters that no key has (spaces, line breaks or "
            "letters beyond ASCII): set the password to the key alone"
        )
    numbers = {name: _number(extra, name, conn_id) for name in CONNECTION_EXTRAS}
    return ClientSettings(
        api_key=key,
        base_url=_base_url(connection, conn_id),
        request_timeout=numbers["request_timeout"],
        requests_per_second=numbers["requests_per_second"],
        max_connections=math.ceil(numbers["max_connections"]),
        source=f"connection {conn_id!r}",
    )


def _base_url(connection: Connection, conn_id: str) -> str:
    """Read the host with or without scheme; a connection given as a URI has scheme and port in fields of their own."""
    host = (connection.host or "").strip().rstrip("/")
    if not host:
        return DEFAULT_BASE_URL
    url = host if "://" in host else f"{connection.schema or 'https'}://{host}"
    try:
        parts = urlsplit(url)
        port = parts.port or connection.port
        (parts.hostname or "").encode("idna")
    except ValueError:  # brackets without end, a port above 65535, a name with an empty or too long part
        parts, port = urlsplit(""), None
    for mark, what in (("@", "a login"), ("?", "a query"), ("#", "a fragment")):
        if mark in host:
            # Each HTTP library treats it differently, and a login would replace the API key.
            raise MagicHourInvalidRequestError(
                f"Host {_without_secrets(url)!r} of connection {conn_id!r} has {what}, which is not shown here: "
                "remove it. The API key is the connection's password; a base URL is scheme, host, port and path"
            )
    if parts.scheme not in ("http", "https") or not parts.hostname or any(map(str.isspace, host)):
        raise MagicHourInvalidRequestError(
            f"Host {host!r} of connection {conn_id!r}: a base URL with http or https is needed, "
            f"such as {DEFAULT_BASE_URL}; leave it empty for the real API"
        )
    return url if parts.port or not port else parts._replace(netloc=f"{parts.netloc}:{port}").geturl()


def _without_secrets(url: str) -> str:
    """Return a URL for a message; with both a login and a query, it is unclear where either ends."""
    scheme, _, rest = url.partition("://")
    if "@" in rest and ("?" in rest or "#" in rest):
        return f"{scheme}://..."
    return f"{scheme}://{re.split('[?#]', rest.rpartition('@')[2])[0]}"


def _number(extra: Mapping[str, Any], name: str, conn_id: str) -> float:
    """Read a number of the extra, also as text: a connection given as a URI has only text."""
    wanted, value = CONNECTION_EXTRAS[name], extra.get(name)
    if value is None or value == "":
        return wanted.default
    number = number_of(value)
    if number is None or not wanted.minimum <= number <= wanted.maximum:
        raise MagicHourInvalidRequestError(
            f"Extra {name}={shown(value)} of connection {conn_id!r}: a number from {wanted.minimum:g} to "
            f"{wanted.maximum:g} is needed; leave it out for {wanted.default:g}"
        )
    return number


@discreet
@dataclass(frozen=True)
class ClientSettings:
    """How to reach the API.

    :param api_key: sent to the API alone.
    :param base_url: of the API; a path prefix works.
    :param request_timeout: seconds for each phase of a request.
    :param requests_per_second: of an async client, all calls together.
    :param max_connections: open at a time.
    :param source: where the key came from, for messages.
    """

    api_key: str = field(repr=False)
    base_url: str = DEFAULT_BASE_URL
    request_timeout: float = CONNECTION_EXTRAS["request_timeout"].default
    requests_per_second: float = CONNECTION_EXTRAS["requests_per_second"].default
    max_connections: int = int(CONNECTION_EXTRAS["max_connections"].default)
    source: str = "these settings"

    @property
    def host(self) -> str:
        """Host and port of the base URL, without a login; "" if it is not a URL."""
        try:
            return urlsplit(self.base_url).netloc.rpartition("@")[2]
        except ValueError:
            return ""

    @property
    def sends_key_in_clear(self) -> bool:
        """Whether the key goes over a network without encryption."""
        url = urlsplit(self.base_url)
        return url.scheme == "http" and not _is_this_machine(url.hostname or "")

    @property
    def key_digest(self) -> str:
        """A digest that tells one key from another."""
        return hashlib.sha256(self.api_key.encode()).hexdigest()

    @property
    def account(self) -> str:
        """A digest of connection, host and key: uploads belong to all three."""
        return hashlib.sha256(f"{self.source} {self.base_url} {self.key_digest}".encode()).hexdigest()


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
