"""Data sets of speech: where their recordings lie, and their transcripts."""

from __future__ import annotations

import gzip
import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

from raydistill.data.files import DataFile, files_of
from raydistill.data.raw import DataError, short_reason

SOUNDS, DOCS = Path("/usr/share/asterisk/sounds"), Path("/usr/share/doc")
SUFFIXES = frozenset({".wav", ".flac"})
SOUND_FILES = frozenset(
    {
        "ascending-2tone",
        "beep",
        "beeperr",
        "confbridge-join",
        "confbridge-leave",
        "descending-2tone",
        "tt-monkeys",
    }
)
"""Files of the Debian packages that are sounds, not words; `silence/` holds others."""
IN_BRACKETS = re.compile(r"\[[^]]*\]|\([^)]*\)|<[^>]*>")
"""A transcript that describes a sound instead of giving words: [ascending tones]."""
NO_TEXT = "its name is not UTF-8; rename it"
TWICE = "named twice in metadata.csv"
NO_WORDS = "a sound, not words, by its name or transcript"


@dataclass(frozen=True)
class Recording:
    """A file that is part of a data set.

    Attributes:
        path: where it is.
        name: its path inside the data set; without suffix where transcripts go by such names.
        text: what is said, where it is known.
        speaker: who says it; one name where nobody knows.
    """

    path: Path
    name: str
    text: str | None
    speaker: str


@dataclass(frozen=True)
class Dropped:
    """A file that is not used, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Listing:
    """The files of a data set, sorted by name; none has been opened.

    Attributes:
        recordings: what may be speech.
        dropped: what is none by its name or transcript.
    """

    recordings: tuple[Recording, ...]
    dropped: tuple[Dropped, ...] = ()


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
        """The Debian package that installs it."""
        return f"asterisk-core-sounds-{self.language}-wav"

    @property
    def text_package(self) -> str:
        """The Debian package that installs its transcripts."""
        return f"asterisk-core-sounds-{self.language}"

    @property
    def transcripts(self) -> str:
        """The name of its transcripts, one `name: text` a line."""
        return f"core-sounds-{self.language}.txt.gz"


DEBIAN = {
    "asterisk-en": DebianSpeech("en", "en_US_f_Allison"),
    "asterisk-fr": DebianSpeech("fr", "fr_CA_f_June"),
    "asterisk-es": DebianSpeech("es", "es_MX_f_Allison"),
    "asterisk-it": DebianSpeech("it", "it_IT_m_Carlo"),
    "asterisk-ru": DebianSpeech("ru", "ru_RU_f_IvrvoiceRU"),
}
SPEECH_SETS = (*DEBIAN, "ljspeech", "folder")


def find_recordings(name: str, root: str | None) -> Listing:
    """What a data set holds, by its file names and transcripts.

    Raises:
        DataError: the data set is absent, its folder or its transcripts cannot be read, or it
            holds no audio file.
    """
    try:
        return _find(name, root)
    except OSError as error:
        raise DataError(
            f"data.root: {root or name} cannot be read ({short_reason(error)}); give a folder of "
            "mono recordings that you may read"
        ) from error


def speech_files(name: str, root: str | None) -> tuple[DataFile, ...]:
    """The files that a data set is read from: recordings and what tells their words.

    Files that are listed as no recordings go by their names alone, so that they are listed again.

    Raises:
        DataError: see `find_recordings`.
    """
    listing = find_recordings(name, root)
    if name in DEBIAN:
        folder = SOUNDS / DEBIAN[name].speaker if root is None else Path(root).expanduser()
        table = _debian_table(DEBIAN[name], folder)
        named = {path for path, _ in _audio(folder)[0]}
        told = [DataFile(DEBIAN[name].transcripts, table)]
    elif name == "ljspeech":
        folder = _ljspeech_folder(Path(root or "").expanduser())
        named = set()
        told = list(files_of(folder, [folder / "metadata.csv"]))
    else:
        folder = Path(root or "").expanduser()
        named = {path for path in folder.rglob("*") if path.is_file()}
        # Of two recordings of one name, the one in WAV and the other in FLAC, it is one file.
        texts = {recording.path.with_suffix(".txt") for recording in listing.recordings}
        told = list(files_of(folder, [path for path in texts if path in named]))
    used = [recording.path for recording in listing.recordings if recording.path.is_file()]
    named -= {*used, *(file.path for file in told)}
    others = (DataFile(path.relative_to(folder).as_posix(), path, True) for path in named)
    found = [*files_of(folder, used), *told, *others]
    return tuple(sorted(found, key=lambda file: file.name))


def speech_folder(name: str, root: str | None) -> str:
    """Where they are looked for, absolute."""
    place = SOUNDS / DEBIAN[name].speaker if root is None else root
    return os.path.abspath(os.path.expanduser(place))


def _find(name: str, root: str | None) -> Listing:
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
    if not found.recordings:
        raise DataError(
            f"data.root: no WAV or FLAC file of speech in {root or name}; give a folder of mono "
            "recordings"
        )
    return found


def _debian(source: DebianSpeech, root: str | None) -> Listing:
    folder = SOUNDS / source.speaker if root is None else Path(root).expanduser()
    if not folder.is_dir():
        raise DataError(
            f"data.name: no speech in {folder}; apt install {source.package} "
            f"{source.text_package}, or give data.root"
        )
    texts = _transcripts(_debian_table(source, folder))
    recordings: list[Recording] = []
    audio, dropped = _audio(folder)
    for path, name in audio:
        stem = Path(name).with_suffix("").as_posix()
        text = texts.get(stem)
        sound = stem in SOUND_FILES or stem.startswith("silence/")
        if sound or (text is not None and IN_BRACKETS.fullmatch(text)):
            dropped.append(Dropped(stem, NO_WORDS))
        else:
            recordings.append(Recording(path, stem, text, source.speaker))
    return Listing(tuple(recordings), tuple(dropped))


def _debian_table(source: DebianSpeech, folder: Path) -> Path:
    places = (folder / source.transcripts, DOCS / source.text_package / source.transcripts)
    table = next((place for place in places if place.is_file()), None)
    if table is None:
        # Without transcripts one sentence, read twice, could be in two splits.
        raise DataError(
            f"data.name: no transcripts in {places[1]}; apt install {source.text_package}, or put "
            f"{source.transcripts} in {folder}"
        )
    return table


def _transcripts(path: Path) -> dict[str, str]:
    """Name to text, from a table that is gzipped or not, whatever its name says.

    Raises:
        DataError: it is damaged.
    """
    content = path.read_bytes()
    try:
        content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"data.root: the transcripts {path} cannot be read ({short_reason(error)}); install "
            "or copy them again"
        ) from error
    found = content.decode("utf-8-sig", errors="replace").splitlines()
    lines = [line for line in found if ":" in line and not line.startswith(";")]
    pairs = (line.split(":", 1) for line in lines)
    return {name.strip(): text.strip() for name, text in pairs}


def _ljspeech_folder(root: Path) -> Path:
    return root if (root / "metadata.csv").is_file() else root / "LJSpeech-1.1"


def _ljspeech(root: Path) -> Listing:
    """As torchaudio.datasets.LJSPEECH lays it out: metadata.csv beside wavs/."""
    folder = _ljspeech_folder(root)
    table = folder / "metadata.csv"
    if not table.is_file():
        raise DataError(
            f"data.root: no metadata.csv in {root}; give the folder of LJSpeech-1.1, which "
            "torchaudio.datasets.LJSPEECH(root, download=True) brings"
        )
    text = table.read_text(encoding="utf-8-sig", errors="replace")
    recordings: dict[str, Recording] = {}
    dropped = []
    for row in sorted(line.split("|") for line in text.split("\n") if line.strip()):
        name, said = row[0].strip(), row[-1].strip() if row[1:] else None
        if name in recordings:  # under other words it might be trained on and tested on
            dropped.append(Dropped(name, TWICE))
        else:
            recordings[name] = Recording(folder / "wavs" / f"{name}.wav", name, said, "LJ")
    return Listing(tuple(recordings.values()), tuple(dropped))


def _folder(root: Path) -> Listing:
    """Any folder: its sub-folders are speakers, a `.txt` beside a file is what is said."""
    if not root.is_dir():
        raise DataError(f"data.root: {root} is no folder; give one of mono WAV or FLAC files")
    recordings = []
    audio, dropped = _audio(root)
    for path, name in audio:
        beside = path.with_suffix(".txt")
        text = None
        if beside.is_file():
            text = beside.read_text(encoding="utf-8-sig", errors="replace")
        inner = Path(name).parts[:-1]
        recordings.append(Recording(path, name, text, inner[0] if inner else "speaker"))
    told = {recording.path.with_suffix(".txt") for recording in recordings}
    others = sorted(
        _shown(path.relative_to(root).as_posix())
        for path in root.rglob("*")
        if path.is_file() and path.suffix.lower() not in SUFFIXES and path not in told
    )
    dropped += [Dropped(name, "no WAV or FLAC file") for name in others]
    return Listing(tuple(recordings), tuple(dropped))


def _audio(root: Path) -> tuple[list[tuple[Path, str]], list[Dropped]]:
    """Files with the suffix of audio and their paths inside the folder, sorted.

    A name that is not UTF-8 can be neither hashed nor written into a record: it is dropped.
    """
    files = (path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES)
    named = sorted((path.relative_to(root).as_posix(), path) for path in files)
    usable = [(path, name) for name, path in named if _shown(name) == name]
    return usable, [Dropped(_shown(name), NO_TEXT) for name, _ in named if _shown(name) != name]


def _shown(name: str) -> str:
    """A file's name as text; bytes that are not UTF-8 as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
