"""What every test stands on: state in a folder of its own, and a real Prefect server where a flow runs."""

import os
import random
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import certifi
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from tests.emulator.fixture import Emulator, started
from tests.s3_servers import moto, rclone  # noqa: F401 - fixtures
from tests.served import served  # noqa: F401 - a fixture

# Prefect reads its settings when it is imported, which collection does: they must be there before.
STATE = Path(tempfile.mkdtemp(prefix="speech-tests-"))
os.environ["PREFECT_HOME"] = str(STATE / "prefect")
os.environ["SPEECH_HOME"] = str(STATE / "speech")
os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
os.environ["PREFECT_RESULTS_LOCAL_STORAGE_PATH"] = str(STATE / "results")
os.environ.pop("PREFECT_API_URL", None)
# Each client of httpx and of Prefect reads whom it may trust: 30 ms for all of certifi's, and no test calls a stranger.
TRUSTED = STATE / "trusted.pem"
TRUSTED.write_text(
    Path(certifi.where()).read_text("utf-8").partition("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n",
    "utf-8",
)
os.environ["SSL_CERT_FILE"] = str(TRUSTED)
# A shell that starts us in the background has us ignore Ctrl-C, and so each command that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[str]:
    """The address of a real Prefect server with the shipped settings, for the whole session."""
    from prefect.context import refresh_global_settings_context
    from prefect.logging.handlers import APILogWorker
    from prefect.utilities import math
    from websockets import client
    from websockets.asyncio import connection

    from deployments.server import SETTINGS, Server, free_port

    # Prefect's threads outlive a flow, and draw a random number for each ping and each wait. Drawn from everybody's
    # while hypothesis draws an example, it looks as if a strategy had done that, which is an error: hence their own.
    for module in (math, client, connection):
        module.random = random.Random()  # type: ignore[attr-defined]
    server = Server(free_port(), SETTINGS)
    os.environ["PREFECT_API_URL"] = server.api_url
    refresh_global_settings_context()
    server.wait_until_healthy()
    yield server.api_url
    APILogWorker.drain_all(timeout=10)  # it would tell of a server that is gone
    server.stop()


@pytest.fixture(scope="session")
def needs() -> Callable[[str], str]:
    """`needs("chromium")` is where that program stands; without it the test is skipped, or fails in CI."""

    def find(program: str) -> str:
        if place := shutil.which(program):
            return place
        missing = f"{program} is not installed"
        return pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)

    return find


@pytest.fixture(scope="session")
def browser(needs: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """A real browser, headless, that calls nobody on its own."""
    options = webdriver.ChromeOptions()
    options.binary_location = needs("chromium")
    for switch in [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-sync",
        "--disable-background-networking",
        "--disable-component-update",
        "--window-size=1200,800",
    ]:
        options.add_argument(switch)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('chromium')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(needs("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture(scope="session")
def emulator_process() -> Iterator[Emulator]:
    """Every provider, on this machine, for the whole session; beside the usual keys, two of one account."""
    with started("family:family-key-1", "family:family-key-2") as emulator:
        yield emulator


@pytest.fixture
def emulator(emulator_process: Emulator) -> Iterator[Emulator]:
    """The same, with an empty ledger, no faults, and its first plans; it is left so, too."""
    emulator_process.reset()
    yield emulator_process
    emulator_process.reset()
