"""The notebooks under examples/ run from top to bottom, and show what they promise."""

import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # the kernel's client has its own
def test_narrate(prefect_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording shows itself with a player, and its manifest as a table of chunks."""
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES.parent))
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    monkeypatch.setenv("SPEECH_HOME", str(tmp_path / "home"))
    assert "PREFECT_HOME" in os.environ
    notebook: Any = nbformat.read(EXAMPLES / "narrate.ipynb", as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    player, table = (
        next(output["data"]["text/html"] for output in cell["outputs"] if "text/html" in output.get("data", {}))
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
    )
    assert "<audio controls" in player
    assert "The lamp was lit." in table
