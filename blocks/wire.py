"""HTTP as every adapter speaks it: pooled connections, one deadline for a call, and the network's failures by name.

An Answer is whatever came back; who is to blame for one without success is the adapter's to say (see `blocks.blame`).
"""

import asyncio
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from blocks.blame import Blame, told
from blocks.speech import BadInput, Billed, CallFailed, NotSpeech, Unanswered, Unreachable

Classify = Callable[[int, Mapping[str, str], bytes], Blame]
"""Who is at fault for an answer of this status, these headers and this body."""

_CONNECT_S = 15.0
_IDLE_S = 60.0
"""A connection that nobody used for so long is closed: servers do the same, and a call must not meet that moment."""
_MESSAGE_BYTES = 2000
"""A success of fewer bytes is no speech, but may be a complaint."""
_NOTHING_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    """Their names in small letters."""
    body: bytes = field(repr=False)


class Wire:
    """One server. Belongs to the event loop that it is first used on. `secret` is the key; None where none is taken.

    No paid request is sent twice and no redirect followed: both could pay a second time.
    """

    def __init__(
        self,
        provider: str,
        server: str,
        classify: Classify,
        headers: Mapping[str, str] | None = None,
        *,
        secret: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.provider = provider
        self.server = check_server(server)
        self.scheme = urlsplit(server).scheme
        self._classify = classify
        self._secret = secret
        self.closed = False
        self.keyed = secret is not None
        self._deadlines: set[asyncio.Timeout] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        try:
            self._client = httpx.AsyncClient(
                headers=headers,
                transport=transport,
                timeout=httpx.Timeout(None, connect=_CONNECT_S),
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=_IDLE_S),
                follow_redirects=False,
            )
        except (ImportError, ValueError, OSError, httpx.InvalidURL) as error:
            raise BadInput(
                f"{provider} cannot be called with the proxy or certificates of the environment "
                f"(HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE): {type(error).__name__}. Correct or unset them."
            ) from error

    async def ask(
        self,
        method: str,
        path: str,
        *,
        deadline_s: float,
        json: object = None,
        params: Mapping[str, str] | None = None,
    ) -> Answer:
        """The whole answer, of any status. Raises Unreachable, Unanswered, or NotSpeech for an unreadable encoding."""
        if self.closed:
            raise Unreachable(f"{self.provider} was closed before it could speak.")
        try:
            async with asyncio.timeout(deadline_s) as deadline:
                self._enter(deadline)
                response = await self._client.request(method, self.server + path, json=json, params=params)
            if response.status_code == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
                raise httpx.ProxyError("the proxy wants a name and a password (407)")
        except TimeoutError as error:
            reason = "it was closed" if self.closed else f"no whole answer in {deadline_s:.0f} s"
            raise self._unanswered(reason) from error
        except httpx.DecodingError as error:
            reason = f"{self.provider} sent a body that does not decode: {told(str(error))}"
            raise NotSpeech(reason, billed=Billed.UNKNOWN) from error
        except httpx.TransportError as error:
            raise self._broken(error) from error
        finally:
            self._leave(deadline)
        return self._whole(response)

    async def post(
        self,
        path: str,
        json: object,
        *,
        deadline_s: float,
        params: Mapping[str, str] | None = None,
        also: Container[int] = (),
    ) -> Answer:
        """An answer of status 200, or of one in `also`. Raises for every other as the adapter classifies it."""
        return self._good(await self.ask("POST", path, json=json, params=params, deadline_s=deadline_s), also)

    async def get(
        self, path: str, *, deadline_s: float, params: Mapping[str, str] | None = None, also: Container[int] = ()
    ) -> Answer:
        """The same of a free call."""
        return self._good(await self.ask("GET", path, params=params, deadline_s=deadline_s), also)

    async def close(self) -> None:
        """End all calls, which fail; later ones fail too."""
        self.closed = True
        now = asyncio.get_running_loop().time()
        for deadline in self._deadlines:
            if not deadline.expired():
                deadline.reschedule(now)
        await self._idle.wait()
        await self._client.aclose()

    def _good(self, answer: Answer, also: Container[int]) -> Answer:
        if answer.status != httpx.codes.OK and answer.status not in also:
            raise self._classify(answer.status, answer.headers, answer.body)
        return answer

    def _enter(self, deadline: asyncio.Timeout) -> None:
        self._deadlines.add(deadline)
        self._idle.clear()

    def _leave(self, deadline: asyncio.Timeout) -> None:
        self._deadlines.discard(deadline)
        if not self._deadlines:
            self._idle.set()

    def _whole(self, response: httpx.Response) -> Answer:
        headers = {name.lower(): value for name, value in response.headers.items()}
        body = response.content
        stated = headers.get("content-length", "")
        if stated.isdecimal() and "content-encoding" not in headers and int(stated) != len(body):
            raise self._unanswered(f"{len(body)} of {stated} bytes came")
        if self._secret and (not response.is_success or len(body) < _MESSAGE_BYTES):  # Some vendors quote the key.
            body = body.replace(self._secret.encode(), b"***")
            headers = {name: value.replace(self._secret, "***") for name, value in headers.items()}
        return Answer(response.status_code, headers, body)

    def _broken(self, error: httpx.TransportError) -> CallFailed:
        if isinstance(error, httpx.LocalProtocolError):  # Its text may quote a header, and so a key.
            return Unreachable(f"{self.provider} was not called: the request does not fit HTTP.")
        reason = told(str(error)) or type(error).__name__
        if not isinstance(error, _NOTHING_SENT):
            return self._unanswered(reason.rstrip("."))
        remedy = "check --server and the network"
        if isinstance(error, httpx.ProxyError):
            remedy = "check HTTPS_PROXY and ALL_PROXY"
        elif "certificate" in reason.lower():
            remedy = "name your own certificate authority in SSL_CERT_FILE"
        elif "ssl" in reason.lower():
            remedy = "does this port speak http instead of https?"
        elif self._proxied():
            remedy = "check --server, and the proxy that HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names"
        return Unreachable(f"{self.provider} cannot be reached at {self.server}: {reason}; {remedy}.")

    def _proxied(self) -> bool:
        """Whether the environment puts a proxy between us and the server."""
        host = urlsplit(self.server).hostname or ""
        return bool(getproxies().keys() & {self.scheme, "all"}) and not proxy_bypass(host)

    def _unanswered(self, reason: str) -> Unanswered:
        message = f"{self.provider} at {self.server} did not answer in full: {reason}."
        return Unanswered(message, billed=Billed.UNKNOWN)


def lasts(error: BaseException | None) -> bool:
    """Whether the network's failure comes again however often one tries: of TLS, or of a proxy."""
    if isinstance(error, httpx.ConnectError):
        return "ssl" in str(error).lower()
    return isinstance(error, httpx.ProxyError | httpx.UnsupportedProtocol | httpx.LocalProtocolError)


def check_server(url: str) -> str:
    """The base URL without its last slash. Raises BadInput, which never repeats credentials or a query."""
    example = "give a base URL such as http://127.0.0.1:8000"
    try:
        parts = urlsplit(url)
        named = (parts.hostname or "").isascii() and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError as error:
        raise BadInput(f"The server's URL has a wrong host or port: {example}.") from error
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise BadInput("The server's URL holds credentials: leave them out, and put keys into the environment.")
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise BadInput(f"The server's URL has a query or fragment: {example}, and put keys into the environment.")
    if parts.scheme not in ("http", "https"):
        raise BadInput(f"The server {told(url)!r} is no http:// or https:// URL: {example}.")
    if not named or any(not character.isprintable() or character.isspace() for character in url):
        raise BadInput(f"The server {told(url)!r} names no host: {example}.")
    return url.rstrip("/")
