"""Ask the providers about their keys, for nothing, and let the pool know what they answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from blocks.held_keys import Held, health_of
from blocks.key_check import Finding, look_at
from blocks.key_health import Store
from blocks.key_pool import Row
from blocks.keyring import Keyring
from blocks.keys import Credential
from tasks.health import announce

Verdict = Literal["works", "refused", "unknown", "not asked"]


@dataclass(frozen=True, slots=True)
class Probed:
    """A key, and what came of asking."""

    held: Held
    verdict: Verdict
    """Unknown: the provider did not answer. Not asked: switched off, or no key at all."""
    reason: str
    row: Row


async def probe(held: Sequence[Held], server: str, store: Store) -> list[Probed]:
    """In their order. What changes by it is announced. Raises BadInput for a server that cannot be."""
    asked = [known for known in held if known.askable]
    findings = dict(zip(asked, await look_at([known.credential for known in asked]), strict=True))
    for known, finding in findings.items():
        if finding.works is not None:
            await _keyring(known, server, store).probed(known.credential, finding.error)
    rows = await health_of(held, server, store)
    return [_probed(known, findings.get(known), row) for known, row in zip(held, rows, strict=True)]


def _keyring(known: Held, server: str, store: Store) -> Keyring:
    async def alone() -> Sequence[Credential]:
        return [known.credential]

    return Keyring(known.provider, server, alone, store, announce)


def _probed(known: Held, finding: Finding | None, row: Row) -> Probed:
    if finding is None:
        return Probed(known, "not asked", row.reason, row)
    verdicts: dict[bool | None, Verdict] = {True: "works", False: "refused", None: "unknown"}
    return Probed(known, verdicts[finding.works], finding.reason, row)
