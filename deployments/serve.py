"""`speech up`: a Prefect server if none is named, and every flow in its UI, ready to be started from a form."""

import asyncio
import os

import httpx

from blocks.speech import BadInput
from deployments.server import SETTINGS, Server

HOURLY = "23 * * * *"
"""Not on the hour, when everybody asks."""
EVERY_TEN_MINUTES = "*/10 * * * *"
POLL_S = 2.0
"""How often scheduled runs are asked for, those too that somebody retries in the UI; Prefect's default is 10 s."""


def up(port: int, shelf: str) -> None:
    """Serve the flows until interrupted, on the server that the profile names or on one of our own at this port.

    Where machines share a shelf in a bucket, the results of their runs are kept there, too.
    """
    server = _own_server(port)
    if server:
        server.wait_until_healthy()
    try:
        asyncio.run(_serve(shelf))
    finally:
        if server:
            server.stop()


def _own_server(port: int) -> Server | None:
    import prefect.context
    from prefect.settings import get_current_settings

    if named := get_current_settings().api.url:
        print(f"Using the Prefect server at {named}")
        return None
    if _answers(port):
        raise BadInput(
            f"something listens on port {port} already: choose another with --port, or name it as PREFECT_API_URL"
        )
    server = Server(port, SETTINGS)
    os.environ["PREFECT_API_URL"] = server.api_url
    prefect.context.refresh_global_settings_context()
    print(f"Starting a Prefect server: http://127.0.0.1:{port}")
    return server


def _answers(port: int) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{port}/api/health", timeout=2)
    except httpx.ConnectError:
        return False
    except httpx.TransportError:
        return True
    return True


async def _serve(shelf: str) -> None:
    from prefect import aserve

    from blocks.api_key import ApiKey
    from blocks.bucket import SpeechStorage
    from deployments.results import keep_results_with
    from flows.check_keys import check_keys
    from flows.narrate import narrate
    from flows.prune_runs import prune_runs
    from flows.voice_wordlist import voice_wordlist

    for block in (ApiKey, SpeechStorage):  # the UI has a form for a key before there is one
        await block.aregister_type_and_schema()
    await keep_results_with(shelf)
    await aserve(
        await narrate.ato_deployment("narrate", tags=["speech"]),
        await voice_wordlist.ato_deployment("voice_wordlist", tags=["speech"]),
        await check_keys.ato_deployment("check_keys", tags=["speech"], cron=HOURLY),
        # Without `older_than` it deletes nobody's recordings.
        await prune_runs.ato_deployment("prune_runs", tags=["speech"], cron=EVERY_TEN_MINUTES),
        query_seconds=POLL_S,
        pause_on_shutdown=False,
    )
