"""A Prefect server, ready for the commands that ask it: it keeps the blocks, and the records of the runs."""

import os

from blocks import storage


def reach_prefect() -> None:
    """Use the server that the profile names, or start one. Raises RunFailed where it does not answer."""
    from deployments.server import connect

    settle_prefect()
    if started := connect():
        started.wait_until_healthy()


def settle_prefect() -> None:
    """The console belongs to the progress bar (Prefect's server keeps the logs), and results to our own folder."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    os.environ.setdefault("PREFECT_INTERNAL_LOGGING_LEVEL", "CRITICAL")  # it tells of each slot that is not to be had
    os.environ.setdefault("PREFECT_RESULTS_LOCAL_STORAGE_PATH", str(storage.home() / "results"))
