"""Every key at hand and the place that holds it: the environment, or a block of the Prefect server."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

from blocks.api_key import ApiKey, stored_keys
from blocks.key_health import Store
from blocks.key_pool import Member, Pool, Row, report
from blocks.keyring import document
from blocks.keys import KEYED, Credential, from_environment, servers_of, variable_of
from blocks.plans import Plan
from blocks.providers import check_name
from blocks.speech import BadInput


@dataclass(frozen=True, slots=True)
class Held:
    """A key, or why a block holds none that can be used."""

    provider: str
    place: str
    """The block's name, or the environment's variable."""
    credential: Credential
    fault: str = ""
    """Why no run calls with it, whatever the provider says of it."""

    @property
    def stored(self) -> bool:
        """In a block, and not in the environment."""
        return self.place != variable_of(self.provider)

    @property
    def askable(self) -> bool:
        """Whether its provider may be asked about it: what a person switched off is left alone."""
        return bool(self.credential.key) and self.credential.member.enabled


def check_keyed(provider: str) -> None:
    """Raises BadInput for who is no provider, or asks for no key."""
    check_name(provider)
    if provider not in KEYED:
        raise BadInput(f"{provider} needs no key; those that do are {', '.join(KEYED)}.")


async def held_keys(provider: str = "", server: str = "") -> list[Held]:
    """Of one provider or of all; those of the environment first, for a run takes no others where it has some.

    Raises BadInput for an environment that holds what is no key; RunFailed where Prefect does not answer.
    """
    if provider:
        check_keyed(provider)
    elif server:
        raise BadInput("--server is one provider's: name the provider.")
    stored = await stored_keys()
    found = []
    for name in sorted([provider] if provider else KEYED):
        own = [known for known in from_environment(name, servers_of(server)) if known.key]
        beaten = f"not used: {variable_of(name)} is set, and comes first" if own else ""
        found += [Held(name, variable_of(name), known) for known in own]
        found += [_held(block, key, server, beaten) for block, key in stored.items() if key.provider == name]
    return found


def _held(block: str, key: ApiKey, server: str, fault: str) -> Held:
    try:
        return Held(key.provider, block, key.credential(server), fault)
    except BadInput as error:
        nothing = Member(block, key.account, Plan(key.provider, key.plan, 0), enabled=False)
        return Held(key.provider, block, Credential(nothing), str(error))


async def health_of(held: Sequence[Held], server: str, store: Store) -> list[Row]:
    """How they are, in their order; one that no run calls with says why, before all else."""
    found: list[Row] = []
    for name, group in groupby(held, key=lambda known: known.provider):
        same = list(group)
        members = [known.credential.member for known in same]
        told = await store.change(document(name, server), Pool, partial(_report, members))
        found += [replace(row, reason=_why(row, known)) for row, known in zip(told, same, strict=True)]
    return found


def _report(members: Sequence[Member], pool: Pool, now: float) -> list[Row]:
    return report(pool, members, now)


def _why(row: Row, known: Held) -> str:
    return "; ".join(filter(None, [known.fault, row.reason if known.credential.key else ""]))
