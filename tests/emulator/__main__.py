"""`python -m tests.emulator`: every speech provider on this machine, without a key, a bill or a network."""

import argparse
import asyncio
import sys

from tests.emulator.accounts import PLANS, holders, plan
from tests.emulator.server import run
from tests.emulator.state import Start, State, known

_KEYS = tuple(f"test-key-{number}" for number in range(1, 6))
_ABOUT = """\
Speech providers in one local process: Gemini, Cartesia, ElevenLabs, OpenAI, Kokoro-FastAPI, speaches,
openai-edge-tts, F5 and Piper. It speaks their wire formats with the embedded voice (espeak-ng), enforces
keys and plan limits per account, keeps a bill, and fails on command in the ways that they do.

The first line of its output is its address; a provider's base URL is that and its name:

    $ python -m tests.emulator --port 8900 --latency 0.5
    http://127.0.0.1:8900
    $ CARTESIA_API_KEYS=test-key-1 speech narrate book.txt --provider cartesia --server http://127.0.0.1:8900/cartesia
    $ curl http://127.0.0.1:8900/piper/synthesize -d '{"text": "Good morning."}' -o good-morning.wav

It ends on Ctrl-C, on SIGTERM, and with the process that holds the other end of its stdin."""
_MORE = """\
plans (`--plan provider:plan`, repeatable):
{plans}
    or limits of your own, in flight/minute/day/credits, `-` for none: --plan gemini:2/10/100/-

faults, the bill and the state (GET / lists these calls):
    curl ADDRESS/_/faults
    curl ADDRESS/_/script -d '{{"provider": "gemini", "rules": [{{"fault": "cut_close", "probability": 0.1}}]}}'
    curl ADDRESS/_/ledger
    curl ADDRESS/_/state"""


def _options() -> argparse.Namespace:
    plans = "\n".join(f"    {name}: {', '.join(names)}" for name, names in PLANS.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.emulator",
        description=_ABOUT,
        epilog=_MORE.format(plans=plans),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("keys", nargs="*", metavar="KEY", help="key, or account:key; beside test-key-1 … test-key-5")
    parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1")
    parser.add_argument("--port", type=int, default=8900, help="0 takes a free one (default: 8900)")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS", help="of each paid call (default: 0)")
    parser.add_argument("--plan", action="append", default=[], type=_plan, metavar="PROVIDER:PLAN", help="see below")
    parser.add_argument("--fast", action="store_true", help="babble of the right length instead of speech")
    return parser.parse_args()


def _plan(text: str) -> tuple[str, str]:
    provider, _, name = text.partition(":")
    try:
        plan(known(provider), name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return provider, name


def main() -> None:
    options = _options()
    start = Start(holders([*_KEYS, *options.keys]), dict(options.plan), options.latency, options.fast)
    try:
        asyncio.run(_main(start, options.host, options.port))
    except OSError as error:  # The port is taken, or the host is not ours.
        sys.exit(f"The emulator cannot serve {options.host}:{options.port}: {error.strerror or error}.")


async def _main(start: Start, host: str, port: int) -> None:
    await run(State(start), host, port)


if __name__ == "__main__":
    main()
