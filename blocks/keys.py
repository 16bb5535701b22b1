"""Keys from the environment, and what a key is to the pool: whose it is, never in a message."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from blocks.key_pool import Member
from blocks.plans import OWN, PLANS, Plan
from blocks.speech import BadInput

FINGERPRINT = 6
"""Hexadecimal digits of a SHA-256."""
KEYLESS = ("f5", "piper", "kokoro")
"""Providers that are servers of one's own and ask for no key."""
SEVERAL_SERVERS = (*KEYLESS, "openai")
"""Providers of which there may be several servers that speak alike."""
KEYED = tuple(provider for provider in PLANS if provider not in KEYLESS)
"""Providers that know their callers by keys."""
_BEGINNINGS = (
    ("sk_car_", "cartesia"),
    ("sk_", "elevenlabs"),
    ("sk-", "openai"),
    ("AIza", "gemini"),
    ("AQ.", "gemini"),
)
"""Of the vendors' newer keys; the older ones look like anything."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A key, or a server that asks for none, with what it opens."""

    member: Member
    server: str = ""
    """A base URL; empty for the vendor's own."""
    key: str = field(default="", repr=False)


def variable_of(provider: str) -> str:
    """Where the environment holds a provider's keys."""
    return f"{provider.upper()}_API_KEYS"


def keys_from(variable: str) -> tuple[tuple[str, str], ...]:
    """(account, key) pairs, in order; the account is empty where none is named. Empty when the variable is not set.

    Raises BadInput, naming the variable and the place in its list, for what cannot be a key.
    """
    return read_keys(os.environ.get(variable, ""), variable)


def read_keys(text: str, place: str, *, once: bool = False) -> tuple[tuple[str, str], ...]:
    """(account, key) pairs of a list that commas or newlines part; one that stands twice is told once, or refused.

    Raises BadInput, naming the place in the list.
    """
    entries = [entry.strip() for entry in re.split(r"[,\n]", text)]
    pairs: list[tuple[str, str]] = []
    for number, entry in enumerate(filter(None, entries), 1):
        account, _, key = (part.strip() for part in entry.rpartition(":"))
        if not key or not all("!" <= character <= "~" for character in key):
            raise BadInput(
                f"{place} holds no usable key at place {number}: a key is printable ASCII without spaces; "
                "part keys by commas or newlines, each as `key` or `account:key`."
            )
        if looks_like(account):
            raise BadInput(f"{place} holds a key where an account should be, at place {number}: write `account:key`.")
        if (twice := [held for held, other in pairs if other == key]) and account != twice[0]:
            raise BadInput(f"{place} holds one key for two accounts, at place {number} again: leave one of them out.")
        if twice and once:
            raise BadInput(f"{place} holds one key twice, at place {number} again: leave one of them out.")
        if not twice:
            pairs.append((account, key))
    return tuple(pairs)


def looks_like(key: str) -> str:
    """The provider whose keys begin like this one; empty where nobody can tell."""
    return next((provider for beginning, provider in _BEGINNINGS if key.startswith(beginning)), "")


def first_key(variable: str, provider: str) -> str:
    """Raises BadInput where there is none."""
    keys = keys_from(variable)
    if not keys:
        raise BadInput(f"{provider} needs a key: put it into the environment variable {variable}.")
    return keys[0][1]


def plan_of(
    provider: str,
    name: str = "",
    *,
    in_flight: int | None = None,
    per_minute: int | None = None,
    per_day: int | None = None,
) -> Plan:
    """A plan by its name, the default where it is empty, with the limits that were agreed where there are any.

    Raises BadInput for an unknown plan, or a limit below 1.
    """
    known = PLANS.get(provider, ())
    found = [plan for plan in known if plan.name == (name or known[0].name)]
    if not found:
        raise BadInput(
            f"{provider} has no plan {name!r}; the known ones are {', '.join(plan.name for plan in known) or 'none'}. "
            "For other limits name the nearest, and set them in the key's block."
        )
    plan = found[0]
    for limit in (in_flight, per_minute, per_day):
        if limit is not None and limit < 1:
            raise BadInput(f"a limit of {limit} lets no call through: the limits of {plan.tag} must be 1 at least.")
    return replace(
        plan,
        in_flight=in_flight or plan.in_flight,
        per_minute=per_minute or plan.per_minute,
        per_day=per_day or plan.per_day,
    )


def fingerprint(provider: str, key: str) -> str:
    """Tells a key from others, and tells nothing of it."""
    return hashlib.sha256(f"{provider}\0{key}".encode()).hexdigest()[:FINGERPRINT]


def credential(
    provider: str, key: str, account: str, plan: Plan, *, server: str = "", enabled: bool = True
) -> Credential:
    """A key with its name for people: the account, and a fingerprint that no key can be told from."""
    mark = fingerprint(provider, key)
    return Credential(Member(f"{account or provider}#{mark}", account or f"#{mark}", plan, enabled), server, key)


def from_environment(provider: str, servers: Sequence[str], plan: str = "") -> tuple[Credential, ...]:
    """The keys of the environment, or the servers where no key is ever needed or one serves several; else empty.

    Raises BadInput.
    """
    if len(servers) > 1 and provider not in SEVERAL_SERVERS:
        raise BadInput(f"{provider} takes one --server; several may be named for {', '.join(SEVERAL_SERVERS)}.")
    chosen = plan_of(provider, plan)
    keys = keys_from(variable_of(provider)) if provider in KEYED else ()
    if len(servers) > 1 or provider not in KEYED:
        return without_keys(provider, servers, plan, keys[0][1] if keys else "")
    server = servers[0] if servers else ""
    return tuple(credential(provider, key, account, chosen, server=server) for account, key in keys)


def without_keys(provider: str, servers: Sequence[str], plan: str = "", key: str = "") -> tuple[Credential, ...]:
    """Servers of one's own as they are, each with an account of its own; empty for a vendor's. Raises BadInput.

    One call at a time unless a plan is named: a graphics card says one thing after another.
    """
    if provider not in SEVERAL_SERVERS:
        return ()
    chosen = plan_of(provider, plan or OWN)
    return tuple(Credential(Member(place, place, chosen), url, key) for url, place in _places(servers))


def servers_of(server: str) -> tuple[str, ...]:
    """The base URLs of a list that commas or blanks part."""
    return tuple(filter(None, re.split(r"[,\s]+", server)))


def _places(servers: Sequence[str]) -> list[tuple[str, str]]:
    """Each with its name for people: host, port and path. Raises BadInput where one stands twice."""
    parts = [urlsplit(server) for server in servers]
    places = [url.netloc + url.path.rstrip("/") or server for server, url in zip(servers, parts, strict=True)]
    for place, count in Counter(places).items():
        if count > 1:
            raise BadInput(f"--server names {place} {count} times: once is enough.")
    return list(zip(servers, places, strict=True))
