"""`speech keys`: store many keys at once, see how they are, switch them on and off. A key is never shown."""

import asyncio
import json
import sys
from typing import Annotated

from cyclopts import App, Parameter

from blocks.speech import BadInput
from deployments.answers import DONE, FAILED
from deployments.reach import reach_prefect

keys = App(name="keys", help="Store API keys, see how they are, and switch them on or off.")


@keys.command
def add(
    provider: str,
    *file: Annotated[str, Parameter(name="FILE", allow_leading_hyphen=True)],
    plan: str = "",
    account: str = "",
    server: str = "",
    unchecked: bool = False,
    as_json: Annotated[bool, Parameter("--json")] = False,
    key: Annotated[str, Parameter(show=False)] = "",
) -> int:
    """Check keys with a free call each, and store those that work as blocks of the Prefect server.

    A key that is stored already keeps its block, and takes the plan and the account that are named.

    Parameters
    ----------
    provider
        Whose keys they are.
    file
        Where they stand, one a line or parted by commas, each `key` or `account:key`; `-` or none reads stdin.
    plan
        The plan of their accounts; empty takes the provider's default.
    account
        Whose keys they are, where their line does not tell; without, each has an account of its own.
    server
        The base URL of the provider's API to check them with, where it is not the vendor's own.
    unchecked
        Store them without asking the provider.
    as_json
        End stdout with one JSON object.
    key
        Refused.
    """
    from deployments.key_intake import NOT_HERE, added, keys_given, notes

    if key:
        raise BadInput(f"{NOT_HERE}: give it in a FILE, or pipe it in")
    given = keys_given(provider, file, plan, account, server)
    reach_prefect()
    found = asyncio.run(added(given, plan, checked=not unchecked))
    for one in found:
        print(one.line(), file=sys.stdout if one.block and not as_json else sys.stderr)
    for note in notes(found, provider):
        print(f"speech: {note}", file=sys.stderr)
    if as_json:
        print(json.dumps({"keys": [one.facts() for one in found]}, ensure_ascii=False))
    return DONE if all(one.block for one in found) else FAILED


@keys.command(name="list")
def show(provider: str = "", *, server: str = "", as_json: Annotated[bool, Parameter("--json")] = False) -> int:
    """Tell how the keys are, of blocks and of the environment: state, why, calls, what they spent.

    Parameters
    ----------
    provider
        Whose keys; empty takes those of every provider.
    server
        The base URL of the provider's API, where it is not the vendor's own: it has a health of its own.
    as_json
        End stdout with one JSON object.
    """
    reach_prefect()
    _show(provider, server, as_json=as_json)
    return DONE


@keys.command
def check(provider: str = "", *, server: str = "", as_json: Annotated[bool, Parameter("--json")] = False) -> int:
    """Ask each key's provider a free question, then tell how the keys are; one that works again is used again.

    Parameters
    ----------
    provider
        Whose keys; empty takes those of every provider.
    server
        The base URL of the provider's API, where it is not the vendor's own.
    as_json
        End stdout with one JSON object.
    """
    reach_prefect()
    from flows.check_keys import check_keys

    result = asyncio.run(check_keys(provider, server))
    bad = [key for key in result["keys"] if key["verdict"] in {"refused", "unknown"}]
    for one in bad:
        print(f"speech: {one['key']} in {one['kept_in']}: {one['verdict']}: {one['reason']}", file=sys.stderr)
    _show(provider, server, as_json=as_json)
    return FAILED if bad else DONE


@keys.command
def enable(name: str, *, server: str = "") -> int:
    """Use a key again, also one that was refused or out of credit: somebody mended that.

    Parameters
    ----------
    name
        Its block, or its alias and fingerprint as `speech keys list` tells them.
    server
        The base URL of the provider's API, where it is not the vendor's own.
    """
    from deployments.key_switch import enabled

    reach_prefect()
    print(asyncio.run(enabled(name, server)))
    return DONE


@keys.command
def disable(name: str) -> int:
    """Call no more with a key, also in runs that are under way; it stays stored.

    Parameters
    ----------
    name
        Its block, or its alias and fingerprint as `speech keys list` tells them.
    """
    from deployments.key_switch import disabled

    reach_prefect()
    print(asyncio.run(disabled(name)))
    return DONE


@keys.command
def remove(name: str) -> int:
    """Delete a stored key.

    Parameters
    ----------
    name
        Its block, or its alias and fingerprint as `speech keys list` tells them.
    """
    from deployments.key_switch import removed

    reach_prefect()
    print(asyncio.run(removed(name)))
    return DONE


def _show(provider: str, server: str, *, as_json: bool) -> None:
    from blocks.held_keys import Held, health_of, held_keys
    from blocks.key_health import opened_store
    from blocks.key_pool import Row
    from deployments.key_table import facts, show_table

    async def ask() -> tuple[list[Held], list[Row]]:
        held = await held_keys(provider, server)
        async with opened_store() as store:
            return held, await health_of(held, server, store)

    held, rows = asyncio.run(ask())
    if as_json:
        print(json.dumps({"keys": facts(held, rows)}, ensure_ascii=False))
    elif held:
        show_table(held, rows)
    else:
        print(f"there is no key: `speech keys add {provider or 'PROVIDER'}` stores some", file=sys.stderr)
