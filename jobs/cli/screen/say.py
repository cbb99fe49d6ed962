"""Text on a terminal. What a model, a file or a server has said is data: it must not move the cursor or set the title."""

import re
from typing import BinaryIO

import typer

UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters except tab and newline, and the marks that change the order in which text is shown."""
_UNSAFE_BYTES = re.compile(rb"\x1b(?!\[[0-9;]*[mKABCDG])|[\x00-\x07\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]|\xc2[\x80-\x9f]")
"""All but colours and what a progress bar needs: erase the line, move the cursor in it and up."""
_UNFINISHED = re.compile(rb"\x1b(\[[0-9;]*)?\Z|\xc2\Z")


def printable(text: str) -> str:
    r"""The text with unsafe characters as `\u001b`, which JSON reads as the same character."""
    return UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def say(text: object, err: bool = False) -> None:
    """Print a line, without the secrets that an error of a library may hold. `err`: to stderr."""
    from callbacks.shared.secrets import masked  # here: `--help` says nothing and stays quick

    typer.echo(printable(masked(str(text))), err=err)


class TerminalLog:
    """A binary output that shows a log on a terminal: with its colours and progress bars, and with nothing else that the
    terminal would act on."""

    def __init__(self, output: BinaryIO) -> None:
        self._output, self._rest = output, b""

    def write(self, data: bytes) -> None:
        """Show the data; the beginning of a sequence waits for its end."""
        data = self._rest + data
        unfinished = _UNFINISHED.search(data)
        end = unfinished.start() if unfinished else len(data)
        self._rest = data[end:]
        self._output.write(_UNSAFE_BYTES.sub(lambda found: repr(found[0])[2:-1].encode(), data[:end]))

    def flush(self) -> None:
        self._output.flush()
