"""A key as Prefect keeps it: made, changed and rotated in the UI, and never shown again."""

import logging
import re
from collections.abc import Collection
from functools import cache
from itertools import count
from typing import ClassVar, Literal

import httpx
from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from pydantic import Field, SecretStr, ValidationError

from blocks.keys import Credential, credential, fingerprint, plan_of, read_keys
from blocks.speech import BadInput, RunFailed

PAGE = 200
SLUG = "speech-api-key"
_log = logging.getLogger(__name__)


class ApiKey(Block):
    """The key of an account with a provider; the account's plan says how many calls it takes.

    Several keys may stand for one account: they share its limits.
    """

    _block_type_name: ClassVar[str] = "Speech API key"
    _block_type_slug: ClassVar[str] = SLUG

    provider: Literal["gemini", "cartesia", "elevenlabs", "openai"] = Field(description="Whose key it is.")
    key: SecretStr = Field(description="The key itself. It is stored encrypted, and never shown.")
    account: str = Field(
        default="",
        description="Who pays: the project, organisation or login that the key belongs to, as you call it. "
        "Keys of one account share its limits; without a name, the key has an account of its own.",
    )
    plan: str = Field(
        default="",
        description="The account's plan, such as free, pro or tier1; empty takes the provider's default.",
    )
    in_flight: int | None = Field(
        default=None, title="Calls at one time", description="Where another number than the plan's was agreed."
    )
    per_minute: int | None = Field(
        default=None, title="Calls a minute", description="Where another number than the plan's was agreed."
    )
    per_day: int | None = Field(
        default=None, title="Calls a day", description="Where another number than the plan's was agreed."
    )
    enabled: bool = Field(default=True, description="Whether calls may be made with it. Off beats everything.")

    def credential(self, server: str = "") -> Credential:
        """Raises BadInput for a plan, a limit or a key that cannot be."""
        plan = plan_of(
            self.provider, self.plan, in_flight=self.in_flight, per_minute=self.per_minute, per_day=self.per_day
        )
        pairs = read_keys(self.key.get_secret_value(), f"a key of {self.provider}")
        if len(pairs) != 1:
            raise BadInput(f"{len(pairs)} keys stand where one should: give each a block of its own.")
        account, key = pairs[0]
        return credential(
            self.provider, key, self.account.strip() or account, plan, server=server, enabled=self.enabled
        )

    def holds(self, provider: str, key: str) -> bool:
        return self.provider == provider and self.key.get_secret_value().strip().rpartition(":")[2] == key


async def stored_keys() -> dict[str, ApiKey]:
    """Every key of the Prefect server, by its block's name in order. Raises RunFailed where it cannot be asked."""
    found: dict[str, ApiKey] = {}
    read = 0
    try:
        async with get_client() as client:
            while True:
                page = await client.read_block_documents_by_type(SLUG, read, PAGE)
                for document in page:
                    if document.name and (key := _made(document.name, document.data)):
                        found[document.name] = key
                read += len(page)
                if len(page) < PAGE:
                    return dict(sorted(found.items()))
    except httpx.HTTPError as error:
        if isinstance(error, httpx.HTTPStatusError) and error.response.status_code == httpx.codes.NOT_FOUND:
            return {}  # no key was ever stored, here
        raise RunFailed(f"the Prefect server does not tell the keys that it holds: {error}") from error


def _made(name: str, data: dict[str, object]) -> ApiKey | None:
    """Not as Prefect loads a block, which is an event each time: keys are read every few seconds."""
    try:
        return ApiKey.model_validate(data)
    except ValidationError as error:  # its own words repeat the values
        wrong = sorted({str(part) for fault in error.errors() for part in fault["loc"]})
        _warn(f"the block {name} is no key, and is left out: look at its {', '.join(wrong)}")
        return None


async def from_blocks(provider: str, server: str = "") -> tuple[Credential, ...]:
    """The provider's keys; two blocks with one key count once, and one that cannot be used is left out.

    Raises BadInput where none can be used; RunFailed where the Prefect server cannot be asked.
    """
    known: dict[str, Credential] = {}
    complaints: list[str] = []
    for name, key in (await stored_keys()).items():
        if key.provider == provider:
            try:
                made = key.credential(server)
            except BadInput as error:
                complaints.append(f"the block {name} cannot be used: {error}")
            else:
                known.setdefault(made.member.id, made)
    if complaints and not known:
        raise BadInput(complaints[0])
    for complaint in complaints:
        _warn(complaint)
    return tuple(known.values())


@cache
def _warn(complaint: str) -> None:
    """Once: keys are read every few seconds."""
    _log.warning(complaint)


async def keep(key: ApiKey) -> str:
    """Store a key, and tell its block's name. A key that is stored already keeps its block and what was agreed."""
    stored, secret = await stored_keys(), key.key.get_secret_value()
    for name, other in stored.items():
        if other.holds(key.provider, secret):
            told = {field: value for field in ("account", "plan") if (value := getattr(key, field))}
            await other.model_copy(update=told).asave(name, overwrite=True)
            return name
    name = _free_name(key, stored)
    await key.asave(name)
    return name


def _free_name(key: ApiKey, taken: Collection[str]) -> str:
    """`gemini-work-1a2b3c`. A block that was rotated keeps its name, and must not be overwritten."""
    parts = [key.provider, key.account, fingerprint(key.provider, key.key.get_secret_value())]
    name = "-".join(re.findall("[a-z0-9]+", " ".join(parts).lower()))
    return next(free for n in count(1) if (free := name if n == 1 else f"{name}-{n}") not in taken)
