"""Which proxy the environment names for a URL: one answer for all that opens connections, as HTTP libraries differ."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx


def proxy_for(url: str) -> str | None:
    """Return the proxy for a URL; None if there is none or ``NO_PROXY`` excludes its host.

    ``NO_PROXY`` lists hosts, ``host:port``, and domains (with or without a leading dot) that include all below them,
    separated by commas; ``*`` excludes all.

    :param url: to be opened.
    """
    parts, proxies = urlsplit(url), getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or "*" in map(str.strip, proxies.get("no", "").split(",")):
        return None
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if proxy_bypass(f"[{host}]:{port}" if ":" in host else f"{host}:{port}") or proxy_bypass(host):
        return None
    # Without a scheme, as curl reads it.
    return proxy if "://" in proxy else f"http://{proxy}"


class Proxied(httpx.BaseTransport):
    """httpx's transport, with the proxy that :func:`proxy_for` names for each URL: redirects may lead elsewhere.

    :param tls: how to verify servers.
    """

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._transports: dict[str | None, httpx.HTTPTransport] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        proxy = proxy_for(str(request.url))
        if proxy not in self._transports:
            self._transports[proxy] = _transport(self._tls, proxy)
        return self._transports[proxy].handle_request(request)

    def close(self) -> None:
        for transport in self._transports.values():
            transport.close()


def _transport(tls: ssl.SSLContext, proxy: str | None) -> httpx.HTTPTransport:
    try:
        # httpx drops idle connections after 5 s by default: sooner than the next poll.
        return httpx.HTTPTransport(verify=tls, proxy=proxy, limits=httpx.Limits(keepalive_expiry=60))
    except Exception as error:  # a proxy of another kind, packages for proxies
        raise httpx.ConnectError(str(error)) from error
