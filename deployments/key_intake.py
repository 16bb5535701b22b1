"""`speech keys add`: keys from a file, a pipe or a terminal, each checked, and stored if it works. None is shown."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blocks.keys import KEYED, Credential, credential, looks_like, plan_of, read_keys, variable_of
from blocks.speech import BadInput

if TYPE_CHECKING:
    from blocks.key_check import Finding

NOT_HERE = "A key does not belong on the command line, where the shell's history keeps it"


@dataclass(frozen=True, slots=True)
class Added:
    """What became of one key."""

    key: Credential
    finding: "Finding"
    block: str
    """Empty where it was not stored."""

    def line(self) -> str:
        what = {True: "works", False: "refused", None: "not checked"}[self.finding.works]
        told = f"{what}: {self.finding.reason}" if self.finding.reason else what
        return f"{self.key.member.id}: {told.rstrip('.')}; {f'stored as {self.block}' if self.block else 'not stored'}"

    def facts(self) -> dict[str, Any]:
        return {
            "key": self.key.member.id,
            "works": self.finding.works,
            "reason": self.finding.reason,
            "block": self.block,
        }


def keys_given(provider: str, files: Sequence[str], plan: str, account: str, server: str) -> list[Credential]:
    """What stands in the file or on stdin. Raises BadInput, which never repeats what may be a key."""
    if provider not in KEYED:
        raise BadInput(f"which PROVIDER? Those that ask for keys are {', '.join(KEYED)}")
    chosen = plan_of(provider, plan)
    if unknown := [word for word in files if word.startswith("--")]:
        raise BadInput(f"there is no option {unknown[0].partition('=')[0]}")
    if len(files) > 1:
        raise BadInput(f"{NOT_HERE}: name one FILE that holds them all, or pipe them in")
    text, place = (_read(files[0]), "FILE") if files and files[0] != "-" else (_piped(provider), "stdin")
    pairs = read_keys(text, place, once=True)
    if not pairs:
        raise BadInput(f"{place} holds no key: give one a line, each as `key` or `account:key`")
    for number, (_, key) in enumerate(pairs, 1):
        if not server and looks_like(key) not in {"", provider}:
            raise BadInput(f"the key at place {number} looks like one of {looks_like(key)}, not of {provider}")
    return [credential(provider, key, own or account.strip(), chosen, server=server) for own, key in pairs]


def _read(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BadInput(f"there is no such FILE; if it was a key: {NOT_HERE}") from error
    except OSError as error:
        raise BadInput(f"FILE cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInput("FILE is no UTF-8 text") from error


def _piped(provider: str) -> str:
    if sys.stdin is None:
        return ""
    if sys.stdin.isatty():
        with suppress(EOFError):
            return getpass(f"Keys of {provider}, parted by commas; they are not shown: ")
        return ""
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput("stdin is no UTF-8 text") from error


async def added(keys: Sequence[Credential], plan: str, *, checked: bool) -> list[Added]:
    """Check them all, then store those that work; all of them, if they are not to be checked."""
    from blocks.api_key import ApiKey, keep
    from blocks.key_check import Finding, look_at

    findings = await look_at(keys) if checked else [Finding(works=None)] * len(keys)
    found = []
    for known, finding in zip(keys, findings, strict=True):
        account = known.member.account
        provider, own = known.member.plan.provider, "" if account.startswith("#") else account
        block = ApiKey.model_validate({"provider": provider, "key": known.key, "account": own, "plan": plan})
        found.append(Added(known, finding, await keep(block) if finding.works or not checked else ""))
    return found


def notes(found: Sequence[Added], provider: str) -> Iterator[str]:
    """What a person should know besides."""
    if any(one.finding.works is None and not one.block for one in found):
        yield "keys that could not be checked were not stored: try again, or store them with --unchecked"
    if any(one.block for one in found) and os.environ.get(variable_of(provider)):
        yield f"{variable_of(provider)} is set: its keys are used, and no stored one"
