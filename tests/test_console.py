"""Scripts print on any terminal, through any pipe, and commands that a shell reads as meant."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from raydistill.console import ExitStatus, ascii_stand_in, shell_command

ASCII = {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}

PRINT_ALL = """
import sys
from rich.table import Table
from raydistill.console import make_console, prepare_output

prepare_output()
print("1 ± 2 × 3…", "café 語")
print("─│┌", file=sys.stderr)
table = Table(title="± [bold] :warning:")
table.add_column("a ± b")
table.add_row("[red]x")
make_console().print(table)
"""

PRINT_MUCH = """
from pathlib import Path
from raydistill.console import make_console, prepare_output

prepare_output()
console = make_console()
for line in range(20_000):
    print("line", line)
    console.print("line of rich", line)
Path({done!r}).write_text("done")
"""


def run_code(code: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A fresh interpreter of that environment running code."""
    return subprocess.run(
        [sys.executable, "-c", f"exec({code!a})"],  # the command line itself is ASCII
        capture_output=True,
        env=os.environ | environment,
        check=False,
        timeout=60,
    )


def test_an_ascii_output_gets_stand_ins_and_ascii_boxes():
    finished = run_code(PRINT_ALL, **ASCII)
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr.decode("ascii").split() == ["-|+"]
    output = finished.stdout.decode("ascii")
    assert output.startswith("1 +/- 2 x 3... cafe ?\n")
    assert "a +/- b" in output
    assert "+---" in output  # the box


def test_a_unicode_output_gets_the_characters_and_markup_is_text():
    finished = run_code(PRINT_ALL, PYTHONUTF8="1")
    assert finished.returncode == 0, finished.stderr
    output = finished.stdout.decode()
    for words in ("1 ± 2 × 3… café 語", "± [bold] :warning:", "[red]x", "─"):
        assert words in output


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_file_name_that_is_no_text_is_printed_with_its_bytes(encoding):
    code = "from raydistill.console import *; prepare_output(); print('a\\udcffb')"
    finished = run_code(code, PYTHONIOENCODING=encoding)
    assert (finished.returncode, finished.stdout) == (0, b"a\xffb\n"), finished.stderr


def test_a_reader_that_leaves_ends_neither_the_work_nor_in_a_traceback(tmp_path):
    done = tmp_path / "done"
    process = subprocess.Popen(
        [sys.executable, "-c", PRINT_MUCH.format(done=str(done))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"line 0\n"
    process.stdout.close()
    assert process.stderr is not None
    errors = process.stderr.read()
    assert (process.wait(60), errors, done.read_text()) == (0, b"", "done")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_said_once_and_is_no_traceback(tmp_path):
    done = tmp_path / "done"
    with open("/dev/full", "wb") as full:
        finished = subprocess.run(
            [sys.executable, "-c", PRINT_MUCH.format(done=str(done))],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert (finished.returncode, done.read_text()) == (0, "done")
    (line,) = finished.stderr.decode().splitlines()
    assert "output cannot be written" in line


def test_a_shell_reads_a_printed_command_as_it_was_meant():
    words = ["a b", "$HOME", "it's", '"', "`id`", "*", "\\", "new\nline", "~", "", "[x]", "#"]
    command = shell_command(
        sys.executable, "-c", "import json, sys; print(json.dumps(sys.argv[1:]))", *words
    )
    read = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert json.loads(read.stdout) == words


def test_stand_ins_are_ascii_whatever_the_character():
    for code in (*range(0x80, 0x3000), 0x10FFFF):
        stand_in = ascii_stand_in(chr(code))
        assert stand_in
        assert stand_in.isascii()
    assert [ascii_stand_in(c) for c in "±─│┼×…é"] == ["+/-", "-", "|", "+", "x", "...", "e"]


@pytest.mark.parametrize(
    ("failed", "total", "status"),
    [(0, 3, 0), (1, 3, 3), (3, 3, 4), (0, 0, 0), (1, 1, 4)],
)
def test_the_exit_status_says_how_many_trials_failed(failed, total, status):
    assert ExitStatus.of_trials(failed, total) == status
