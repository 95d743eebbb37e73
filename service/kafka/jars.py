"""The embedded broker's jars: fetched once by Maven coordinates, kept in the user's cache."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

from service.errors import ConfigError, UnreachableError

KAFKA_VERSION = "4.1.1"
POM = Path(__file__).with_name("pom.xml")
FETCH_SECONDS = 600.0


def java() -> str:
    """Path of the Java runtime; raises ConfigError that names the package."""
    return _program("java", "openjdk-17-jre-headless")


def cache_home() -> Path:
    """Where Tidegate keeps what it can make again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tidegate"


def kafka_jars() -> Path:
    """Folder of the jars, fetched if need be; safe to call from several processes at once.

    Raises ConfigError (Maven missing) or UnreachableError (Maven could not fetch).
    """
    folder = cache_home() / f"kafka-{KAFKA_VERSION}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    # Complete or absent: a fetch that was cut off leaves only the part folder, which the next one removes.
    maven = _program("mvn", "maven")
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    command = [maven, "-B", "-q", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={part}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)
        why = (done.stdout + done.stderr).strip()[-2000:] if done.returncode else ""
    except subprocess.TimeoutExpired:
        why = f"no end after {FETCH_SECONDS:.0f} s"
    if why or not any(part.glob("kafka_*.jar")):
        shutil.rmtree(part, ignore_errors=True)
        raise UnreachableError(
            "The jars of Apache Kafka could not be fetched",
            where=str(POM),
            why=why or "Maven wrote no jars",
            remedy="Check the network and Maven's settings (~/.m2/settings.xml), then try again.",
        )
    part.rename(folder)


def _program(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise ConfigError(
            f"`{name}` is not on the PATH; the embedded Kafka broker needs it",
            remedy=f"Install the package {package}, for example: apt-get install {package}",
        )
    return path
