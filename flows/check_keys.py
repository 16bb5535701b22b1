"""How the keys are: a free question with each of them, told to the pool, to Prefect and to whoever asks."""

from collections import Counter
from typing import Any

from prefect import flow
from prefect.logging import get_run_logger

from blocks.held_keys import held_keys
from blocks.key_health import opened_store
from tasks.health import publish_keys
from tasks.probe import Probed, probe


@flow(name="check_keys", persist_result=True, result_serializer="json")
async def check_keys(provider: str = "", server: str = "") -> dict[str, Any]:
    """Ask each key's provider a free question, and show how the keys are; a key that works again is used again.

    Args:
        provider: Whose keys; empty takes those of every provider.
        server: The base URL of the provider's API, where it is not the vendor's own.

    Raises:
        BadInput: No such provider, or what is no key in the environment. A bad key is no error: it is the result.
    """
    held = await held_keys(provider, server)
    async with opened_store() as store:
        probed = await probe(held, server, store)
    for name in dict.fromkeys(known.provider for known in held):
        mine = [found for found in probed if found.held.provider == name]
        await publish_keys([found.row for found in mine], name, [found.held.place for found in mine])
    counts = Counter(found.verdict for found in probed)
    told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
    get_run_logger().info("%d keys asked: %s", len(probed), told or "there are none")
    return {"keys": [_summary(found) for found in probed], "verdicts": dict(counts)}


def _summary(found: Probed) -> dict[str, Any]:
    reason = found.reason or found.row.reason
    return {
        "provider": found.held.provider,
        "key": found.row.key,
        "kept_in": found.held.place,
        "verdict": found.verdict,
        "state": found.row.state,
        "reason": reason,
    }
