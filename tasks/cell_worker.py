"""The process that makes the files of cells: `python -P cell_worker.py FOLDER FORMAT LUFS`.

It keeps to the frames of `blocks.workers`. A request is a pickled list of `Wanted`, the answer that of their
`CellFile`, or the error that ended it. Both ends are this house, and nobody else can write to the pipe.
"""

import os
import pickle
import sys
from collections.abc import Sequence

from blocks.speech import SpeechError
from blocks.storage.folder import Folder
from tasks.cell_clips import CellFile, Wanted, make
from tasks.heard import read_file

_POLITE = 10


def _answer(wanted: Sequence[Wanted], storage: Folder, suffix: str, lufs: float) -> list[CellFile] | SpeechError:
    try:
        return [make(one, storage, suffix, lufs, read_file) for one in wanted]
    except SpeechError as error:
        return error


def main(folder: str, suffix: str, lufs: str) -> None:
    os.nice(_POLITE)  # whoever speaks goes first
    storage, answer = Folder(folder), b"ready"
    while True:
        sys.stdout.buffer.write(len(answer).to_bytes(4, "little") + answer)
        sys.stdout.buffer.flush()
        if not (head := sys.stdin.buffer.read(4)):
            return
        wanted = pickle.loads(sys.stdin.buffer.read(int.from_bytes(head, "little")))  # noqa: S301 - see above
        answer = pickle.dumps(_answer(wanted, storage, suffix, float(lufs)))


if __name__ == "__main__":
    main(*sys.argv[1:])
