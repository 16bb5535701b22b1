"""Servers' addresses, and what a person can do about a network that does not reach them."""

import os
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from blocks.blame import told
from blocks.speech import BadInput

NOTHING_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)


def remedy(error: httpx.TransportError, reason: str, server: str) -> str:
    """What a person can do about it, where nothing was sent."""
    if isinstance(error, httpx.ProxyError):
        return "check HTTPS_PROXY and ALL_PROXY"
    if "certificate" in reason.lower():
        return "name your own certificate authority in SSL_CERT_FILE"
    if _of_tls(error):
        return "does this port speak http instead of https?"
    if _proxied(server):
        return "check --server, and the proxy that HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names"
    return "check --server and the network"


def lasts(error: BaseException | None) -> bool:
    """Whether the network's failure comes again however often one tries: of TLS, or of a proxy."""
    if isinstance(error, httpx.ConnectError):
        return "ssl" in str(error).lower()
    return isinstance(error, httpx.ProxyError | httpx.UnsupportedProtocol | httpx.LocalProtocolError)


def _of_tls(error: BaseException) -> bool:
    """Whether TLS failed. Where the other side hangs up on its first words, only the cause tells.

    A reset is one of TLS too: before the connection stands there is nothing to reset, and after it no ConnectError.
    """
    return "ssl" in str(error).lower() or (
        isinstance(error, httpx.ConnectError)
        and any(isinstance(cause, ssl.SSLError | ConnectionResetError) for cause in causes(error))
    )


def causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _proxied(server: str) -> bool:
    """Whether the environment puts a proxy between us and the server."""
    parts = urlsplit(server)
    return bool(getproxies().keys() & {parts.scheme, "all"}) and not proxy_bypass(parts.hostname or "")


def unusable(provider: str, error: Exception) -> str:
    """For an environment that no client can be made with. httpx speaks SOCKS with a further library only."""
    proxies = {name: value.lower() for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    if names := sorted(name for name, value in proxies.items() if value.startswith("socks")):
        return (
            f"{provider} cannot be called through the proxy that {' and '.join(names)} names: SOCKS is not "
            f"supported here. Name an http:// proxy, or unset {' '.join(names)}."
        )
    return (
        f"{provider} cannot be called with the proxy or certificates of the environment "
        f"(HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE): {type(error).__name__}. Correct or unset them."
    )


def check_server(url: str, *, query: bool = False) -> str:
    """The base URL without its last slash. Raises BadInput, which never repeats credentials or a query."""
    example = "give a base URL such as http://127.0.0.1:8000"
    try:
        parts = urlsplit(url)
        named = (parts.hostname or "").isascii() and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError as error:
        raise BadInput(f"The server's URL has a wrong host or port: {example}.") from error
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise BadInput("The server's URL holds credentials: leave them out, and put keys into the environment.")
    if (not query and "?" in url) or "#" in url:
        raise BadInput(f"The server's URL has a query or fragment: {example}, and put keys into the environment.")
    shown = told(url.partition("?")[0])
    if parts.scheme not in ("http", "https"):
        raise BadInput(f"The server {shown!r} is no http:// or https:// URL: {example}.")
    if not named or any(not character.isprintable() or character.isspace() for character in url):
        raise BadInput(f"The server {shown!r} names no host: {example}.")
    return url.rstrip("/")
