"""HTTP as every adapter speaks it: pooled connections, one deadline for a call, and the network's failures by name.

An Answer is whatever came back; who is to blame for one without success is the adapter's to say (see `blocks.blame`).
"""

import asyncio
import json as encoding
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import quote, urlsplit

import httpx

from blocks.blame import Blame, told
from blocks.network import NOTHING_SENT, causes, check_server, remedy, unusable
from blocks.sound import sniff
from blocks.speech import BadInput, Billed, CallFailed, NotSpeech, Unanswered, Unreachable

Classify = Callable[[int, Mapping[str, str], bytes], Blame]
"""Who is at fault for an answer of this status, these headers and this body."""

_CONNECT_S = 15.0
_IDLE_S = 60.0
"""A connection that nobody used for so long is closed: servers do the same, and a call must not meet that moment."""
_MOST_BYTES = 2**28
"""No answer is longer: it would be an hour and a half of speech at 24 kHz."""
_WORDS = {"json", "markup", ""}
"""What bodies are that may be quoted; of a sound file nothing is."""
_SHORTEST_KEY = 8
"""A shorter one, such as `none`, is sent where no key is asked for, and may stand in any list by chance."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a web page's form would send, in place of JSON."""

    fields: Mapping[str, str]
    files: Mapping[str, tuple[str, bytes]] | None = None
    """Name and bytes of each file, by its field."""


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
        self._spellings = _spellings(secret)
        self.closed = False
        self.keyed = secret is not None
        self._deadlines: set[asyncio.Timeout] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        try:
            self._open = partial(
                httpx.AsyncClient,
                headers=headers,
                transport=transport,
                verify=transport is not None or httpx.create_ssl_context(),
                timeout=httpx.Timeout(None, connect=_CONNECT_S),
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=_IDLE_S),
                follow_redirects=False,
            )
            self._free = [self._open()]
            """One for each call at one time, the last used last: a pool looks at all its connections twice a call."""
        except (ImportError, ValueError, OSError, httpx.InvalidURL) as error:
            raise BadInput(unusable(provider, error)) from error

    async def ask(
        self,
        method: str,
        path: str,
        *,
        deadline_s: float,
        json: object = None,
        form: Form | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Answer:
        """The whole answer, of any status. Raises Unreachable, Unanswered, or NotSpeech for a body beyond reading."""
        if self.closed:
            raise Unreachable(f"{self.provider} was closed before it could speak.")
        client = self._free.pop() if self._free else self._open()
        try:
            async with asyncio.timeout(deadline_s) as deadline:
                self._enter(deadline)
                sent = form or Form({})
                request = client.build_request(
                    method, self.server + path, json=json, data=sent.fields, files=sent.files, params=params
                )
                response = await client.send(request, stream=True)
                try:
                    body = await self._read(response)
                finally:
                    await response.aclose()
            if response.status_code == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
                raise httpx.ProxyError("the proxy wants a name and a password (407)")
        except TimeoutError as error:
            reason = "it was closed" if self.closed else f"no whole answer in {deadline_s:.0f} s"
            raise self._unanswered(reason) from error
        except httpx.DecodingError as error:
            reason = f"{self.provider} sent a body that does not decode: {told(self._struck(str(error)))}"
            raise NotSpeech(reason, billed=Billed.UNKNOWN) from error
        except httpx.TransportError as error:
            for cause in causes(error):  # A traceback may show their words, and these a header.
                cause.args = tuple(self._struck(arg) if isinstance(arg, str) else arg for arg in cause.args)
            raise self._broken(error) from error
        finally:
            self._free.append(client)
            self._leave(deadline)
        return self._whole(response, body)

    async def post(
        self,
        path: str,
        json: object = None,
        *,
        deadline_s: float,
        form: Form | None = None,
        params: Mapping[str, str] | None = None,
        also: Container[int] = (),
    ) -> Answer:
        """An answer of status 200, or of one in `also`. Raises for every other as the adapter classifies it."""
        answer = await self.ask("POST", path, json=json, form=form, params=params, deadline_s=deadline_s)
        return self._good(answer, also)

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
        for client in self._free:
            await client.aclose()

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

    async def _read(self, response: httpx.Response) -> bytes:
        """The body. Raises NotSpeech as soon as it is longer than any speech."""
        pieces, size = [], 0
        async for piece in response.aiter_bytes():
            pieces.append(piece)
            size += len(piece)
            if size > _MOST_BYTES:
                reason = f"{self.provider} answered {response.status_code} with more than {_MOST_BYTES >> 20} MB"
                raise NotSpeech(reason, billed=Billed.UNKNOWN)
        return b"".join(pieces)

    def _whole(self, response: httpx.Response, body: bytes) -> Answer:
        headers = {name.lower(): value for name, value in response.headers.items()}
        stated = headers.get("content-length", "")
        if stated.isdecimal() and "content-encoding" not in headers and int(stated) != len(body):
            raise self._unanswered(f"{len(body)} of {stated} bytes came")
        # Some vendors quote the key, and whatever is no sound may become part of a message.
        for spelling in self._spellings:
            if not response.is_success or len(spelling) >= _SHORTEST_KEY:
                headers = {name: value.replace(spelling, "***") for name, value in headers.items()}
                if not response.is_success or sniff(body) in _WORDS:
                    body = body.replace(spelling.encode(), b"***")
        return Answer(response.status_code, headers, body)

    def _struck(self, words: str) -> str:
        """Without the key."""
        for spelling in self._spellings:
            words = words.replace(spelling, "***")
        return words

    def _broken(self, error: httpx.TransportError) -> CallFailed:
        if isinstance(error, httpx.LocalProtocolError):
            return Unreachable(f"{self.provider} was not called: the request does not fit HTTP.")
        reason = told(self._struck(str(error))) or type(error).__name__
        if not isinstance(error, NOTHING_SENT):
            return self._unanswered(reason.rstrip("."))
        help_ = remedy(error, reason, self.server)
        return Unreachable(f"{self.provider} cannot be reached at {self.server}: {reason}; {help_}.")

    def _unanswered(self, reason: str) -> Unanswered:
        message = f"{self.provider} at {self.server} did not answer in full: {reason}."
        return Unanswered(message, billed=Billed.UNKNOWN)


def _spellings(secret: str | None) -> tuple[str, ...]:
    """The key as it stands, in JSON and in a URL."""
    if not secret:
        return ()
    in_json = encoding.dumps(secret)[1:-1]
    return tuple(dict.fromkeys((secret, in_json, in_json.replace("/", r"\/"), quote(secret, safe=""))))
