"""The `speech` command: it reads the command line, shows progress, and calls flows. All work is theirs."""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter

from blocks import storage
from blocks.providers import opened
from blocks.speech import BadInput, Offer, SpeechError, Voice

if TYPE_CHECKING:
    from tasks.preview import Preview
    from tasks.recording import Recording

DONE, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130
"""Exit codes. After 1 and 130 the same command goes on where it stopped."""

app = App(
    name="speech",
    help="Texts become speech, in bulk, with nothing lost in silence.",
    default_parameter=Parameter(negative=()),
    suppress_keyboard_interrupt=False,
)


@app.command
def narrate(
    *sources: Annotated[str, Parameter(name="SOURCE")],
    output: str = "speech",
    audio_format: Annotated[Literal["mp3", "m4b", "flac", "opus", "wav"], Parameter("--format")] = "mp3",
    provider: str = "espeak",
    voice: str = "",
    language: str = "",
    speed: float = 1.0,
    loudness: float = -16.0,
    workers: int = 0,
    fresh: bool = False,
    dry_run: bool = False,
    as_json: Annotated[bool, Parameter("--json")] = False,
) -> int:
    """Speak texts and Markdown files, each into one recording with its manifest, subtitles and report.

    Parameters
    ----------
    sources
        A .txt or .md file, or a URL (file://, s3://); several are spoken one after another.
    output
        The folder for the recording and what goes with it.
    audio_format
        The recording's format; all but wav carry chapters.
    provider
        Who speaks.
    voice
        A voice of the provider, by its name; empty takes the provider's voice for the language.
    language
        A language tag such as en-us, vi or cmn; empty takes the language of the voice.
    speed
        How fast to speak; 1.0 is normal.
    loudness
        The recording's loudness in LUFS.
    workers
        The most calls at one time; 0 takes all that the plan allows.
    fresh
        Speak everything anew, also what is on the shelf.
    dry_run
        Tell what would be done, and call nobody.
    as_json
        End stdout with one JSON object.
    """
    if not sources:
        raise BadInput("which SOURCE? Name a .txt or .md file, or a URL")
    _refuse_equal_names(sources)
    wanted = Voice(provider, voice, language, speed=speed)
    if dry_run:
        previews = [_preview(source, wanted, fresh=fresh) for source in sources]
        _answer([_preview_facts(each) for each in previews], as_json=as_json)
        return DONE
    options = {
        "output": output,
        "format": audio_format,
        "provider": provider,
        "voice": voice,
        "language": language,
        "speed": speed,
        "loudness": loudness,
        "workers": workers,
        "fresh": fresh,
    }
    return _narrate_all(sources, wanted, options, as_json=as_json)


@app.command
def up(*, port: int = 4200) -> int:
    """Serve every flow in Prefect's UI until interrupted.

    Parameters
    ----------
    port
        Where the server listens, when the Prefect profile names none.
    """
    _settle_prefect()
    from deployments.serve import up as serve

    serve(port)
    return DONE


@app.command
def voices(provider: str = "espeak", *, as_json: Annotated[bool, Parameter("--json")] = False) -> int:
    """List the voices of a provider.

    Parameters
    ----------
    provider
        Who speaks.
    as_json
        End stdout with one JSON object.
    """
    offers = asyncio.run(_offers(provider))
    if as_json:
        print(json.dumps({"voices": [asdict(offer) for offer in offers]}, ensure_ascii=False))
    else:
        for offer in offers:
            print(f"{offer.name:24} {offer.language:16} {offer.description}")
    return DONE


async def _offers(provider: str) -> Sequence[Offer]:
    async with opened(provider) as speaker:
        return await speaker.voices()


def _narrate_all(sources: Sequence[str], wanted: Voice, options: dict[str, Any], *, as_json: bool) -> int:
    _settle_prefect()
    from deployments.server import connect
    from tasks.recording import Incomplete

    server = connect()
    for source in sources:
        _preview(source, wanted, fresh=True)  # a wrong file or voice is refused while the server is still starting
    if server:
        server.wait_until_healthy()
    code, answers = DONE, []
    for source in sources:
        try:
            recording = _run_narrate(source, options)
        except Incomplete as error:
            _complain(error)
            recording, code = error.recording, FAILED
        answers.append(_recording_facts(recording))
    _answer(answers, as_json=as_json)
    return code


def _run_narrate(source: str, options: dict[str, Any]) -> "Recording":
    from prefect.exceptions import TerminationSignal

    from deployments.display import shown
    from flows.narrate import narrate as flow
    from tasks.progress import WATCHED, Progress

    progress = Progress()
    WATCHED.set(progress)
    try:
        with shown(progress, PurePath(source).name):
            recording: Recording = asyncio.run(flow(source, **options))
            return recording
    except TerminationSignal:  # what Prefect makes of SIGTERM
        raise KeyboardInterrupt from None


def _preview(source: str, wanted: Voice, *, fresh: bool) -> "Preview":
    from tasks.clips import Shelf
    from tasks.preview import preview

    return asyncio.run(preview(source, wanted, Shelf(storage.home() / "shelf"), fresh=fresh))


def _settle_prefect() -> None:
    """The console belongs to the progress bar (Prefect's server keeps the logs), and results to our own folder."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    os.environ.setdefault("PREFECT_RESULTS_LOCAL_STORAGE_PATH", str(storage.home() / "results"))


def _refuse_equal_names(sources: Sequence[str]) -> None:
    for stem, count in Counter(PurePath(source).stem for source in sources).items():
        if count > 1:
            raise BadInput(f"{count} sources are called {stem}, and so would their recordings: speak them one by one")


def _preview_facts(preview: "Preview") -> dict[str, Any]:
    return {
        "source": preview.document.source,
        "voice": preview.voice.name,
        "language": preview.voice.language,
        "chunks": preview.chunks,
        "characters": preview.characters,
        "calls": preview.calls,
        "expected_minutes": round(preview.expected_s / 60, 1),
        "omissions": len(preview.document.omissions),
    }


def _recording_facts(recording: "Recording") -> dict[str, Any]:
    return recording.as_json()


def _answer(answers: list[dict[str, Any]], *, as_json: bool) -> None:
    """Tell the results on stdout; for programs as one JSON object in the last line."""
    if as_json:
        print(json.dumps(answers[0] if len(answers) == 1 else {"results": answers}, ensure_ascii=False))
        return
    for answer in answers:
        print("\n".join(f"{name.replace('_', ' '):>16}  {value}" for name, value in answer.items()))


def _complain(error: Exception) -> None:
    print(f"speech: {error}", file=sys.stderr)


def run(arguments: Sequence[str]) -> int:
    """Carry out one command line; the exit code."""
    try:
        return app(arguments, exit_on_error=False, print_error=False, result_action="return_value") or DONE
    except (CycloptsError, BadInput) as error:
        _complain(error)
        return WRONG
    except SpeechError as error:
        _complain(error)
        return FAILED
    except KeyboardInterrupt:
        print("speech: interrupted; what was spoken is kept, the same command goes on from there", file=sys.stderr)
        return INTERRUPTED


def main() -> None:
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
