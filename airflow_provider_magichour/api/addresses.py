"""Where a URL that the API names, or a redirect, may lead: never from TLS to plain HTTP or into a private network."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable

import httpx

from airflow_provider_magichour.api.proxies import proxy_for
from airflow_provider_magichour.exceptions import MagicHourApiError


def check_address(url: str, *, before: str, base_url: str) -> None:
    """Refuse a URL that leads where no file of this API can be.

    :param url: about to be opened.
    :param before: what named it: the base URL, or the URL that redirects to it.
    :param base_url: of the API; private addresses are reached only from an API that is on one itself.
    :raises MagicHourApiError: naming only the host, as the rest is signed.
    :raises httpx.InvalidURL: for anything that is not a URL.
    """
    if reason := refusal(httpx.URL(url), before=httpx.URL(before), base=httpx.URL(base_url), addresses=addresses_of):
        raise MagicHourApiError(f"The API's answer leads to a forbidden address: {reason}. Nothing was sent there")


def refusal(
    url: httpx.URL, *, before: httpx.URL, base: httpx.URL, addresses: Callable[[str], Iterable[str]]
) -> str | None:
    """Say why a URL must not be opened; None if it may be. Pure, except that it calls ``addresses``.

    :param url: about to be opened.
    :param before: what named it.
    :param base: base URL of the API.
    :param addresses: returns those of a host; none when they cannot be known.
    """
    if url.scheme == "http" and before.scheme == "https":
        return f"http://{url.host} is not encrypted, but {before.host}, which leads there, is"
    if any(map(is_private, addresses(url.host))) and not any(map(is_private, addresses(base.host))):
        return (
            f"{url.host} is in a private network, and the API ({base.host}) is not. If your own DNS resolves a public "
            "host to a private address, let it give workers the public one, or set HTTPS_PROXY to a proxy that "
            "resolves host names itself"
        )
    return None


def is_private(address: str) -> bool:
    """Return whether an address leads into a private network, to this machine, or to nobody."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ip.ipv4_mapped or ip.sixtofour or ip
    return ip.is_private or ip.is_link_local or ip.is_reserved or ip.is_multicast or ip in SHARED


SHARED = ipaddress.ip_network("100.64.0.0/10")
"""Behind the address translation of a provider (RFC 6598)."""


def addresses_of(host: str) -> set[str]:
    """Return the addresses of a host; of a name that a proxy is to resolve, none."""
    try:
        return {str(ipaddress.ip_address(host))}
    except ValueError:
        pass
    if proxy_for(f"https://{host}") or proxy_for(f"http://{host}"):
        return set()
    try:
        return {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):  # connecting will fail with the reason
        return set()
