"""The walls of the house: which floor may import which, and what the faces promise alike."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = ["deployments", "flows", "tasks", "blocks"]
"""From the top; a floor imports itself and what lies below it."""
ROOMS = [path for floor in FLOORS for path in sorted((ROOT / floor).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    """The modules that a file imports anywhere in it, absolute names."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.update([node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)])
    return names


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", ROOMS, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path: Path) -> None:
    """deployments → flows → tasks → blocks, never back; and no flow imports a flow."""
    floor = path.relative_to(ROOT).parts[0]
    above = FLOORS[: FLOORS.index(floor)]
    reached = {name.split(".")[0] for name in imported(path)}
    assert not reached & set(above)
    if floor == "flows":
        assert "flows" not in reached


def test_no_circles() -> None:
    """The rooms can be put in one order in which each imports only what comes before it."""
    rooms = {module(path): path for path in ROOMS}
    needs = {name: {other for other in imported(path) if other in rooms} - {name} for name, path in rooms.items()}
    while ready := {name for name, needed in needs.items() if not needed & needs.keys()}:
        needs = {name: needed for name, needed in needs.items() if name not in ready}
    assert not needs


def test_rooms_are_small() -> None:
    """No file grows past 250 lines."""
    long = {str(path.relative_to(ROOT)): n for path in ROOMS if (n := len(path.read_text().splitlines())) > 250}
    assert not long


def test_flow_files_keep_their_names_and_annotations() -> None:
    """A flow file hides no library (Prefect loads flows/x.py as x), and its annotations are not postponed."""
    for path in (ROOT / "flows").glob("[!_]*.py"):
        assert path.stem not in {*FLOORS, "prefect", "pandas", "httpx", "pydub", "pysrt", "s3fs"}
        assert "from __future__ import annotations" not in path.read_text()


def test_the_terminal_and_the_form_say_the_same() -> None:
    """What an option does is told in the same words on the command line and in Prefect's form."""
    from prefect.utilities.callables import parameter_schema

    from deployments.keys_terminal import check
    from deployments.terminal import narrate as command
    from deployments.wordlist_terminal import wordlist
    from flows.check_keys import check_keys
    from flows.narrate import narrate as flow
    from flows.voice_wordlist import voice_wordlist

    for commanded, served, least in ((command, flow, 10), (wordlist, voice_wordlist, 10), (check, check_keys, 2)):
        told = " ".join((commanded.__doc__ or "").split())
        fields = parameter_schema(served.fn).properties
        assert len(fields) >= least
        for name, field in fields.items():
            assert name == "source" or " ".join(field["description"].split()) in told, name
