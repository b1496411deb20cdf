"""Where speech is, and what is said in it."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

from raydistill.data.raw import DataError

SOUNDS, DOCS = Path("/usr/share/asterisk/sounds"), Path("/usr/share/doc")
SUFFIXES = frozenset({".wav", ".flac"})
NOT_SPEECH = ("silence/", "beep", "beeperr", "ascending-2tone", "descending-2tone")
"""Files of the Debian packages that are sounds, not words."""


@dataclass(frozen=True)
class Recording:
    """A file that is part of a data set.

    Attributes:
        path: where it is.
        name: inside the data set.
        text: what is said, where it is known.
        speaker: who says it; one name where nobody knows.
    """

    path: Path
    name: str
    text: str | None
    speaker: str


@dataclass(frozen=True)
class DebianSpeech:
    """A speaker of Debian's `asterisk-core-sounds-*` packages, 8 kHz (CC-BY-SA).

    Attributes:
        language: of the package.
        speaker: the folder of its files.
    """

    language: str
    speaker: str

    @property
    def package(self) -> str:
        """What brings it."""
        return f"asterisk-core-sounds-{self.language}-wav"

    @property
    def text_package(self) -> str:
        """What brings its transcripts."""
        return f"asterisk-core-sounds-{self.language}"

    @property
    def transcripts(self) -> Path:
        """One `name: text` a line."""
        return DOCS / self.text_package / f"core-sounds-{self.language}.txt.gz"


DEBIAN = {
    "asterisk-en": DebianSpeech("en", "en_US_f_Allison"),
    "asterisk-fr": DebianSpeech("fr", "fr_CA_f_June"),
    "asterisk-es": DebianSpeech("es", "es_MX_f_Allison"),
    "asterisk-it": DebianSpeech("it", "it_IT_m_Carlo"),
    "asterisk-ru": DebianSpeech("ru", "ru_RU_f_IvrvoiceRU"),
}
SPEECH_SETS = (*DEBIAN, "ljspeech", "folder")


def find_recordings(name: str, root: str | None) -> list[Recording]:
    """The files of a data set, sorted by name; none is opened.

    Raises:
        DataError: the data set is absent, or its folder holds no audio file.
    """
    if name in DEBIAN:
        found = _debian(DEBIAN[name], root)
    elif root is None:
        raise DataError(
            f"data.root: {name!r} needs a folder; give data.root (or --dataset PATH for a folder)"
        )
    elif name == "ljspeech":
        found = _ljspeech(Path(root).expanduser())
    else:
        found = _folder(Path(root).expanduser())
    if not found:
        raise DataError(
            f"data.root: no {' or '.join(sorted(SUFFIXES))} file in {root}; give a folder of mono "
            "recordings"
        )
    return found


def _debian(source: DebianSpeech, root: str | None) -> list[Recording]:
    folder = SOUNDS / source.speaker if root is None else Path(root).expanduser()
    if not folder.is_dir():
        raise DataError(
            f"data.name: no speech in {folder}; apt install {source.package} "
            f"{source.text_package}, or give data.root"
        )
    texts = _transcripts(source.transcripts)
    return [
        Recording(path, name, texts.get(name), source.speaker)
        for path, name in _audio(folder)
        if not name.startswith(NOT_SPEECH)
    ]


def _transcripts(path: Path) -> dict[str, str]:
    """Name to text; empty where the file is absent."""
    if not path.is_file():
        return {}
    with gzip.open(path, "rt", encoding="utf-8", errors="replace") as stream:
        lines = [line for line in stream if ":" in line and not line.startswith(";")]
    pairs = (line.split(":", 1) for line in lines)
    return {name.strip(): text.strip() for name, text in pairs}


def _ljspeech(root: Path) -> list[Recording]:
    """As torchaudio.datasets.LJSPEECH lays it out: metadata.csv beside wavs/."""
    folder = root if (root / "metadata.csv").is_file() else root / "LJSpeech-1.1"
    table = folder / "metadata.csv"
    if not table.is_file():
        raise DataError(
            f"data.root: no metadata.csv in {root}; give the folder of LJSpeech-1.1, which "
            "torchaudio.datasets.LJSPEECH(root, download=True) brings"
        )
    rows = [line.split("|") for line in table.read_text(encoding="utf-8").splitlines() if line]
    return sorted(
        (Recording(folder / "wavs" / f"{row[0]}.wav", row[0], row[-1], "LJ") for row in rows),
        key=lambda recording: recording.name,
    )


def _folder(root: Path) -> list[Recording]:
    """Any folder: its sub-folders are speakers, a `.txt` beside a file is what is said."""
    if not root.is_dir():
        raise DataError(f"data.root: {root} is no folder; give one of mono WAV or FLAC files")
    found = []
    for path, name in _audio(root):
        beside = path.with_suffix(".txt")
        text = beside.read_text(encoding="utf-8", errors="replace") if beside.is_file() else None
        inner = path.relative_to(root).parts[:-1]
        found.append(Recording(path, name, text, inner[0] if inner else "speaker"))
    return found


def _audio(root: Path) -> list[tuple[Path, str]]:
    """Files with the suffix of audio and their names without it, sorted."""
    files = (path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES)
    named = ((path, path.relative_to(root).with_suffix("").as_posix()) for path in files)
    return sorted(named, key=lambda pair: pair[1])
