"""A script that only reads is broken by pieces put into it: what still counts as reading changes nothing when bash
runs it, among files and programs that a repository may bring."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shell_scripts import INSERTED, PIECES, READS

from qcode.policy.commands import take_apart_now
from qcode.policy.shell import only_reads

MORE = int(os.environ.get("POLICY_EXAMPLES", "1"))
"""How many times as many examples are tried, and then other ones each time (make test-attacks-policy)."""

NAMES = "ls cat env git 10 evil grep find sed awk sort head wc rg a date jq uniq sh bash printf echo test EOF x 1 0 -l"
"""Programs in the folder, named like those of the system and like words of the scripts; each leaves a mark."""

SECONDS = 10
"""After which a script that goes on is ended: it is looked at what it has written by then."""


@st.composite
def broken(draw: st.DrawFn) -> str:
    script = " ; ".join(draw(st.lists(st.sampled_from(READS), min_size=1, max_size=2)))
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 2, 3, 4]))):
        edge = draw(st.sampled_from([found.start() for found in re.finditer(r"\b|\s|^|$", script)]))
        piece = draw(st.sampled_from(INSERTED if draw(st.integers(0, 4)) else PIECES))
        match draw(st.sampled_from("iiiiisr")):
            case "i":
                script = script[:edge] + piece + script[edge:]
            case "s":
                script = f"{script[:edge]} {piece} {script[edge:]}"
            case _:
                script = script[:edge] + piece + script[edge + draw(st.integers(1, 6)) :]
    return script


def furnish(folder: Path) -> None:
    """A repository that holds programs, and nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "src").mkdir(parents=True)
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b.test"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "a"], check=True)
    for name in [*NAMES.split(), "src/evil"]:
        (folder / name).write_text(f'#!/bin/sh\n: >"{folder}/MARK"\n', encoding="utf-8")
        (folder / name).chmod(0o755)


def state(folder: Path) -> dict[str, tuple[int, int, int]]:
    """What lies there, but for what git itself keeps while it looks: mode, size, time of the last change."""
    found = {}
    for root, folders, names in os.walk(folder):
        if root == str(folder / ".git"):
            folders[:] = ["hooks", "refs"]
            names = ["HEAD", "config"]
        for name in [*folders, *names]:
            path = Path(root, name)
            status = path.lstat()
            found[str(path.relative_to(folder))] = (
                status.st_mode, status.st_size, 0 if path.is_dir() else status.st_mtime_ns
            )  # fmt: skip
    return found


def run(script: str, folder: Path) -> None:
    """Run it as the agent's shell would, with nothing of ours within its reach."""
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder), "x": "./evil"}
    null = subprocess.DEVNULL
    command = ["timeout", "-s", "KILL", str(SECONDS), "bash", "-c", script]
    subprocess.run(command, cwd=folder, env=environment, stdin=null, stdout=null, stderr=null, check=False)


def test_what_still_counts_as_reading_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "repo"
    furnish(folder)
    run("./evil", folder)
    assert (folder / "MARK").exists(), "what an attack does can be seen"
    (folder / "MARK").unlink()
    before = state(folder)
    ran = []

    @settings(
        max_examples=400 * MORE,
        deadline=None,
        derandomize=MORE == 1 and "EXPLORE" not in os.environ,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.nested_given],
    )
    @given(script=broken())
    def look(script: str) -> None:
        if not only_reads(take_apart_now(script), set()):
            return
        ran.append(script)
        run(script, folder)
        after = state(folder)
        changed = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
        if changed:
            furnish(folder)
            before.clear()
            before.update(state(folder))
        assert not changed, f"{script!r} counts as only reading"

    look()
    print(f"{len(ran)} scripts counted as reading and were run")
    assert len(ran) > 10 * MORE, "nearly no script was run"
