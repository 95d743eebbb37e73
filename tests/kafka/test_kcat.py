"""A client that nobody here wrote sends a post and reads its score."""

from __future__ import annotations

import json
import shutil
import subprocess

from tests.harness import Daemon, World


def kcat(world: World, *args: str, given: str = "") -> str:
    tool = shutil.which("kcat")
    assert tool, "kcat is missing: install the Debian package kcat"
    command = [tool, "-b", world.cluster.bootstrap, *args]
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_kcat_produces_a_post_and_reads_its_score(serving: tuple[World, Daemon]):
    world, daemon = serving
    known = {fact.at for fact in world.cluster.read(world.input)}
    end = sum(world.cluster.ends([world.output]).values())
    kcat(world, "-P", "-t", world.input, "-k", "kcat", given='{"id": "from-kcat", "text": "hello from kcat"}')
    world.came += [fact for fact in world.cluster.read(world.input) if fact.at not in known]
    line = kcat(world, "-C", "-t", world.output, "-o", str(end), "-c", "1", "-f", r"%k %s\n").strip()
    key, _, value = line.partition(" ")
    score = json.loads(value)
    assert (key, score["id"], score["schema"]) == ("kcat", "from-kcat", "tidegate.score/1")
    assert daemon.live
