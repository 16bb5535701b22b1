"""The emulator as a test sees it."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

_ROOT = Path(__file__).parents[2]
_STARTED_WITHIN_S = 30


class Emulator:
    """A running emulator and its control calls."""

    def __init__(self, url: str, http: httpx.Client) -> None:
        self.url = url
        self._http = http

    def server(self, provider: str) -> str:
        """The provider's base URL."""
        return f"{self.url}/{provider}"

    def script(self, provider: str, *rules: dict[str, Any]) -> None:
        """These rules instead of the provider's; see `tests.emulator.script.Rule` for their fields."""
        self._post("script", {"provider": provider, "rules": rules})

    def settings(self, **settings: Any) -> None:
        """`latency_s`, `fast`, `plans` by provider, `forward_s`; until the next reset."""
        self._post("settings", settings)

    def reset(self) -> None:
        self._post("reset", {})

    def ledger(self, provider: str = "") -> list[dict[str, Any]]:
        entries = self._http.get("/_/ledger").json()
        return [entry for entry in entries if provider in {"", entry["provider"]}]

    def state(self) -> dict[str, Any]:
        facts: dict[str, Any] = self._http.get("/_/state").json()
        return facts

    def faults(self, provider: str) -> dict[str, str]:
        """The faults that it can play, and what they are."""
        names: dict[str, str] = self._http.get("/_/faults").json()[provider]
        return names

    def _post(self, call: str, order: dict[str, Any]) -> None:
        answer = self._http.post(f"/_/{call}", json=order)
        if answer.is_error:
            raise ValueError(answer.json()["error"])


@contextlib.contextmanager
def started(*arguments: str) -> Iterator[Emulator]:
    """An emulator of one's own, on a free port."""
    command = [sys.executable, "-m", "tests.emulator", "--port", "0", *arguments]
    process = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process, contextlib.ExitStack() as running:
        running.callback(process.terminate)
        url = process.stdout.readline().strip() if process.stdout else ""
        if not url:
            raise RuntimeError(f"The emulator ended with status {process.wait(_STARTED_WITHIN_S)}.")
        with httpx.Client(base_url=url, timeout=_STARTED_WITHIN_S, trust_env=False) as http:
            yield Emulator(url, http)
