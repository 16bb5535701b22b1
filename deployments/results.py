"""Where Prefect keeps the results of runs: with the shelf, where that is in a bucket, as small JSON."""

import os
from hashlib import sha256

import httpx
from prefect.context import refresh_global_settings_context
from prefect.exceptions import ObjectAlreadyExists

from blocks.bucket import SLUG, SpeechStorage, stored_for
from blocks.speech import RunFailed
from blocks.storage import is_remote
from blocks.storage.places import storage_at
from blocks.storage.threads import aside


async def keep_results_with(shelf: str) -> None:
    """Have the flows that this process starts keep their results in the bucket of this shelf, if it is in one.

    The Prefect server is told by a block how to read them. Raises BadInput for a bucket that cannot be used, and
    RunFailed where the server cannot be asked.
    """
    if not is_remote(shelf):
        return
    address = f"{shelf.rstrip('/')}/results"
    known = await stored_for(shelf)
    block = known.model_copy(update={"address": address}) if known else SpeechStorage(address=address)
    await aside(storage_at(address, block.access()).check)
    name = f"results-{sha256(address.encode()).hexdigest()[:8]}"
    try:
        try:
            await block.asave(name, overwrite=True)
        except ObjectAlreadyExists:  # another run has just made the type, or the block
            await block.asave(name, overwrite=True)
    except httpx.HTTPError as error:
        raise RunFailed(f"the Prefect server does not take the place of the results: {error}") from error
    os.environ["PREFECT_DEFAULT_RESULT_STORAGE_BLOCK"] = f"{SLUG}/{name}"
    refresh_global_settings_context()
