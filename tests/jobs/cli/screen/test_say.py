"""What a terminal gets: no character that would move its cursor, set its title, or change the order of the text."""

import io
import json

import pytest

from jobs.cli.screen.say import TerminalLog, printable

TITLE = "\x1b]0;owned\x07"


def test_controls_become_escapes_that_json_reads_as_the_same_text() -> None:
    said = f"Zoë\t漢字\n{TITLE}\x9b2J\u202etxt.exe\r"
    shown = printable(said)
    assert shown == "Zoë\t漢字\n\\u001b]0;owned\\u0007\\u009b2J\\u202etxt.exe\\u000d"
    assert json.loads(printable(json.dumps(said, ensure_ascii=False))) == said


@pytest.mark.parametrize(
    ("log", "shown"),
    [
        ("\x1b[31mred\x1b[0m 40%|██ | \r\x1b[K\x1b[A50%\n", "\x1b[31mred\x1b[0m 40%|██ | \r\x1b[K\x1b[A50%\n"),
        (TITLE, "\\x1b]0;owned\\x07"),
        ("\x1b[2J\x1b[?1049h\x1bc", "\\x1b[2J\\x1b[?1049h\\x1bc"),
        ("\x9b31m Л", "\\xc2\\x9b31m Л"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_log_keeps_colours_and_progress_bars_alone(log: str, shown: str, size: int) -> None:
    """Whatever pieces it comes in."""
    output, data = io.BytesIO(), log.encode()
    terminal = TerminalLog(output)
    for first in range(0, len(data), size):
        terminal.write(data[first : first + size])
    terminal.flush()
    assert output.getvalue().decode() == shown
