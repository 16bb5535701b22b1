"""The `speech` command: it reads the command line, shows progress, and calls flows. All work is theirs."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter

from blocks.speech import BadInput, SpeechError
from deployments.answers import DONE, FAILED, INTERRUPTED, WRONG, complain, tell
from deployments.keys_terminal import keys
from deployments.runs_terminal import runs
from deployments.shelf_terminal import shelf as shelf_commands
from deployments.wordlist_terminal import wordlist

app = App(
    name="speech",
    help="Texts become speech, in bulk, with nothing lost in silence.",
    default_parameter=Parameter(negative=()),
    suppress_keyboard_interrupt=False,
)
app.command(keys)
app.command(runs)
app.command(shelf_commands)
app.command(wordlist)


@app.command
def narrate(
    *sources: Annotated[str, Parameter(name="SOURCE")],
    output: str = "speech",
    audio_format: Annotated[Literal["mp3", "m4b", "flac", "opus", "wav"], Parameter("--format")] = "mp3",
    provider: str = "espeak",
    server: list[str] | None = None,
    model: str = "",
    voice: str = "",
    language: str = "",
    speed: float = 1.0,
    style: str = "",
    loudness: float = -16.0,
    workers: int = 0,
    plan: str = "",
    deadline: str = "",
    budget: float = 0.0,
    fallback: str = "",
    suspects: Literal["keep", "fail"] = "keep",
    allow_gaps: bool = False,
    timing: Literal["auto", "cues", "sequence"] = "auto",
    fit: Literal["shift", "trim", "fail"] = "shift",
    fastest: float = 1.35,
    squeeze: Literal["speak", "stretch"] = "speak",
    overlaps: Literal["queue", "mix", "fail"] = "queue",
    strict: bool = False,
    speakers: str = "",
    clips: bool = False,
    shelf: str = "",
    fresh: bool = False,
    dry_run: bool = False,
    as_json: Annotated[bool, Parameter("--json")] = False,
) -> int:
    """Speak texts, Markdown files and subtitles, each into one recording with its manifest, subtitles and report.

    Parameters
    ----------
    sources
        A .txt, .md, .srt or .vtt file, or a URL (file://, s3://); several are spoken one after another.
    output
        The folder for the recording and what goes with it, or a bucket: s3://bucket/folder.
    audio_format
        The recording's format; all but wav carry chapters.
    provider
        Who speaks: espeak on this machine, or a service or server by its kind.
    server
        The base URL of the provider's API, where it is not the vendor's own; several of one's own, which speak
        alike, are parted by commas. Or each has a --server of its own.
    model
        A model of the provider; empty takes its default.
    voice
        A voice of the provider, by its name; empty takes the provider's voice for the language.
    language
        A language tag such as en-us, vi or cmn; empty takes the language of the voice.
    speed
        How fast to speak; 1.0 is normal.
    style
        How to speak, where the provider can be told.
    loudness
        The recording's loudness in LUFS.
    workers
        The most calls at one time; 0 takes all that the plan allows.
    plan
        The plan of the accounts whose keys come from the environment; empty takes the provider's default.
    deadline
        How long after its start the run may wait for keys that are at their limits, such as 90m or 12h; empty
        waits as long as it takes.
    budget
        What the run may spend, in USD at list prices: it stops before the call that might go beyond. 0 is no bound.
    fallback
        Voices to go on with, in order, where the first will not speak a paragraph; each is written as
        provider:voice@model=server, where all but the provider may be left out, and they are parted by commas.
    suspects
        What becomes of a clip that stands out from its voice twice: keep it, flagged, or fail.
    allow_gaps
        Make the recording also where a chunk failed for good, with a marked silence in its place. The exit code is
        then 3.
    timing
        When subtitles are spoken: each cue at its own start (auto, cues), or one after another (sequence).
    fit
        What becomes of a cue that is too long even at the highest rate: it shifts the next, is trimmed, or fails.
    fastest
        The highest rate to which a cue that is too long is sped up; 1 speeds up nothing.
    squeeze
        How it is sped up: spoken again at a higher speed where the voice can, and stretched for the rest; or
        stretched only, which takes no second call.
    overlaps
        Cues that overlap: the later one waits (queue), both are heard at one time (mix), or the source is refused
        (fail).
    strict
        Refuse subtitles in which something has to be mended, before any call.
    speakers
        The voices of the speakers that subtitles name, as ANNA=Katie, BOB=cartesia:Brad, or a .json or .toml file
        of such pairs; everybody else speaks in the voice above.
    clips
        Write the speech of each cue or paragraph as a WAV file, too, into the folder clips of the output.
    shelf
        Where finished speech is kept for this run and others, which may share it: a folder, or a bucket as
        s3://bucket/folder; empty takes this machine's own.
    fresh
        Speak everything anew, also what is on the shelf.
    dry_run
        Tell what would be done, and call nobody.
    as_json
        End stdout with one JSON object.
    """
    if not sources:
        raise BadInput("which SOURCE? Name a .txt, .md, .srt or .vtt file, or a URL")
    from deployments.narration import narrate_all, preview_all

    options = {
        "output": output,
        "format": audio_format,
        "provider": provider,
        "server": ",".join(server or []),
        "model": model,
        "voice": voice,
        "language": language,
        "speed": speed,
        "style": style,
        "loudness": loudness,
        "workers": workers,
        "plan": plan,
        "deadline": deadline,
        "budget": budget,
        "fallback": fallback,
        "suspects": suspects,
        "allow_gaps": allow_gaps,
        "timing": timing,
        "fit": fit,
        "fastest": fastest,
        "squeeze": squeeze,
        "overlaps": overlaps,
        "strict": strict,
        "speakers": speakers,
        "clips": clips,
        "shelf": shelf,
        "fresh": fresh,
    }
    return tell((preview_all if dry_run else narrate_all)(sources, options), as_json=as_json)


@app.command
def up(*, port: int = 4200, shelf: str = "") -> int:
    """Serve every flow in Prefect's UI until interrupted.

    Parameters
    ----------
    port
        Where the server listens, when the Prefect profile names none.
    shelf
        The bucket that machines share as their shelf: Prefect keeps the results of runs there, too. The shelf of a run
        is its own parameter.
    """
    from deployments.reach import settle_prefect
    from deployments.serve import up as serve

    settle_prefect()
    serve(port, shelf)
    return DONE


@app.command
def voices(provider: str = "espeak", *, server: str = "", as_json: Annotated[bool, Parameter("--json")] = False) -> int:
    """List the voices of a provider, and what one request to it may carry.

    Parameters
    ----------
    provider
        Who speaks.
    server
        The base URL of the provider's API, where it is not the vendor's own.
    as_json
        End stdout with one JSON object.
    """
    from deployments.narration import voices_of

    offers, speaker = voices_of(provider, server)
    limits, in_flight = speaker.limits, speaker.plan.in_flight
    if as_json:
        facts = {"voices": [asdict(offer) for offer in offers], "limits": asdict(limits), "in_flight": in_flight}
        print(json.dumps(facts, ensure_ascii=False))
    else:
        for offer in offers:
            print(f"{offer.name:24} {offer.language:16} {offer.description}")
        print(
            f"{len(offers)} voices; a request carries at most {limits.characters:,} characters and "
            f"{limits.bytes:,} bytes; {in_flight} at one time"
        )
    return DONE


def run(arguments: Sequence[str]) -> int:
    """Carry out one command line; the exit code."""
    try:
        return app(arguments, exit_on_error=False, print_error=False, result_action="return_value") or DONE
    except (CycloptsError, BadInput) as error:
        code, told = WRONG, str(error)
    except SpeechError as error:
        code, told = FAILED, str(error)
    except BrokenPipeError:  # the reader, `head` perhaps, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt as stop:
        run_id = next(filter(None, stop.args), "")
        resumes = f" (so does `speech runs resume {run_id[:8]}`, also with --fresh)" if run_id else ""
        code, told = INTERRUPTED, f"interrupted; what was spoken is kept, the same command goes on from there{resumes}"
    complain(told)
    if "--json" in arguments:
        print(json.dumps({"error": told, "exit_code": code}, ensure_ascii=False))
    return code


def main() -> None:
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
