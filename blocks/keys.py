"""Keys from the environment, and never in a message."""

import os
import re

from blocks.speech import BadInput


def variable_of(provider: str) -> str:
    """Where the environment holds a provider's keys."""
    return f"{provider.upper()}_API_KEYS"


def keys_from(variable: str) -> tuple[tuple[str, str], ...]:
    """(account, key) pairs, in order; the account is empty where none is named. Empty when the variable is not set.

    Raises BadInput, naming the variable and the place in its list, for what cannot be a key.
    """
    entries = [entry.strip() for entry in re.split(r"[,\n]", os.environ.get(variable, ""))]
    pairs = []
    for place, entry in enumerate(filter(None, entries), 1):
        account, _, key = entry.rpartition(":")
        if not key or not all("!" <= character <= "~" for character in key):
            raise BadInput(
                f"{variable} holds no usable key at place {place}: a key is printable ASCII without spaces; "
                "part keys by commas or newlines, each as `key` or `account:key`."
            )
        pairs.append((account.strip(), key))
    return tuple(pairs)


def first_key(variable: str, provider: str) -> str:
    """Raises BadInput where there is none."""
    keys = keys_from(variable)
    if not keys:
        raise BadInput(f"{provider} needs a key: put it into the environment variable {variable}.")
    return keys[0][1]
