"""The calls that tests make behind the providers' backs: /_/…"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from tests.emulator.state import State, fault_names
from tests.emulator.vendors import VENDORS
from tests.emulator.wire import Answer, Request, in_json

PAGE = """\
Speech providers, emulated. The base URL of each is this address and its name; keys: test-key-1 … test-key-5.

{providers}

GET  /_/ledger    every paid call: id, provider, account, key, text, outcome, status, units, prompt, billed, at
GET  /_/state     per provider and account: calls, most in flight, refused, billed, units, prompt; connections
GET  /_/faults    the names of the faults of each provider
POST /_/script    {{"provider": "gemini", "rules": [{{"fault": "third", "probability": 0.2, "seed": 1}}]}}
POST /_/settings  {{"latency_s": 0.5, "fast": true, "plans": {{"cartesia": "scale"}}, "forward_s": 86400}}
POST /_/reset
"""


def answer(state: State, request: Request) -> Answer:
    if request.path == "/":
        providers = "\n".join(f"  /{name}" for name in VENDORS)
        return Answer(body=PAGE.format(providers=providers).encode(), headers={"Content-Type": "text/plain"})
    if not (call := _CALLS.get((request.method, request.path))):
        return in_json({"error": f"There is no {request.method} {request.path}."}, 404)
    try:
        return in_json(call(state, request))
    except (KeyError, TypeError, ValueError) as error:
        return in_json({"error": str(error)}, 400)


def _ledger(state: State, _request: Request) -> list[dict[str, Any]]:
    return [asdict(entry) for entry in state.ledger]


def _script(state: State, request: Request) -> dict[str, Any]:
    order = request.json()
    state.instruct(order["provider"], order["rules"])
    return {}


def _settings(state: State, request: Request) -> dict[str, Any]:
    state.change(request.json())
    return state.facts()


def _reset(state: State, _request: Request) -> dict[str, Any]:
    state.reset()
    return {}


_CALLS: Mapping[tuple[str, str], Callable[[State, Request], Any]] = {
    ("GET", "/_/ledger"): _ledger,
    ("GET", "/_/state"): lambda state, _request: state.facts(),
    ("GET", "/_/faults"): lambda _state, _request: {name: fault_names(vendor) for name, vendor in VENDORS.items()},
    ("POST", "/_/script"): _script,
    ("POST", "/_/settings"): _settings,
    ("POST", "/_/reset"): _reset,
}
