"""A run that is killed and continued, and attempts whose infrastructure fails, in real containers."""

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from qcode.app.options import RunOptions
from qcode_evals.agents.controls import Empty
from qcode_evals.agents.protocol import Place, Prediction
from qcode_evals.attempt import Attempt
from qcode_evals.cli import main
from qcode_evals.environments.boxes import open_box
from qcode_evals.environments.images import Images
from qcode_evals.environments.opening import PLAIN, Fittings, OpenBox
from qcode_evals.running.making import Deadlines, Job, Maker
from qcode_evals.running.plans import Plan
from qcode_evals.tasks.dataset import Instance, load
from qcode_sandbox.opening import open_sandbox
from qcode_sandbox.pip_settings import pip_settings
from qcode_sandbox.protocol import Sandbox
from qcode_sandbox.specs import DockerSpec

pytestmark = pytest.mark.docker

DATA = Path(__file__).with_name("data") / "instances.jsonl"
FIX = "sed -i 's/gcd(a % b, b)/gcd(b, a % b)/' python_programs/gcd.py"


def bash(command: str) -> str:
    return f"<tool_call>\n<function=bash>\n<parameter=command>\n{command}\n</parameter>\n</function>\n</tool_call>"


def scripted(path: Path, command: str, **last: Any) -> str:
    answers = [{"text": bash(command)}, {"text": "Done.", "repeat": 9} | last]
    path.write_text("".join(json.dumps(answer) + "\n" for answer in answers), encoding="utf-8")
    return f"scripted:{path}"


def outcomes(folder: Path) -> set[tuple[str, int, str]]:
    lines = (folder / "attempts.jsonl").read_text(encoding="utf-8").splitlines()
    return {(a["instance_id"], a["repeat"], a["outcome"]) for a in map(json.loads, lines)}


def kept(folder: Path) -> list[dict[str, Any]]:
    """Finished attempts of a folder; the last line may be torn."""
    path = folder / "attempts.jsonl"
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def killed_at(arguments: list[str], folder: Path, phases: int) -> int:
    """Run until so many phases were begun, then kill; how it ended."""
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "qcode_evals", *arguments, "--verbose"], cwd=folder, stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL, start_new_session=True, env=os.environ,
    ) as child:  # fmt: skip
        assert child.stderr is not None
        for line in child.stderr:
            phases -= line.rstrip().endswith("…".encode())
            if phases <= 0:
                os.killpg(child.pid, signal.SIGKILL)
                break
    return child.pid if child.returncode == -signal.SIGKILL else 0


def test_a_run_that_is_killed_again_and_again_ends_as_if_it_had_not_been(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """EVAL_KILLS makes it longer: make eval-kills."""
    model = scripted(tmp_path / "model.jsonl", FIX)
    out = tmp_path / "out"
    arguments = [
        "--dataset", str(DATA), "--instance", "quixbugs__gcd", "--instance", "quixbugs__sieve", "--repeat", "2",
        "--agent", "qcode", "--model", model, "--workers", "2", "--out", str(out),
    ]  # fmt: skip
    wanted = {
        ("quixbugs__gcd", 0, "resolved"), ("quixbugs__gcd", 1, "resolved"),
        ("quixbugs__sieve", 0, "empty_patch"), ("quixbugs__sieve", 1, "empty_patch"),
    }  # fmt: skip
    seed = int(os.environ.get("EVAL_SEED", "7"))
    chance = random.Random(seed)
    killed: list[int] = []
    for _ in range(int(os.environ.get("EVAL_KILLS", "2"))):
        before = kept(out)
        if pid := killed_at([*arguments, "--resume"], tmp_path, chance.randint(1, 9)):
            killed.append(pid)
            assert kept(out)[: len(before)] == before, "what was finished stays"
        else:
            assert outcomes(out) == wanted
            shutil.rmtree(out)  # it was through before it was killed: begin anew
    assert killed, f"with the seed {seed} no run was killed"
    before = kept(out)
    assert main([*arguments, "--resume"]) == 0
    assert capfd.readouterr().err.count("(earlier)") == len(before)
    assert outcomes(out) == wanted
    after = kept(out)
    assert len(after) == 4, "one line an attempt"
    assert all(attempt in after for attempt in before)
    predictions = (out / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["instance_id"] for line in predictions] == ["quixbugs__gcd", "quixbugs__sieve"]
    assert json.loads((out / "report.json").read_text(encoding="utf-8"))["resolved_ids"] == ["quixbugs__gcd"]
    assert (out / "logs/quixbugs__gcd/repeat-2/patch.diff").is_file()
    listing = ["docker", "ps", "-a", "--filter", "label=qcode", "--format", '{{.Label "qcode.owner"}}']
    owners = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.splitlines()
    assert not [owner for owner in owners if owner.partition("/")[0] in map(str, [*killed, os.getpid()])]
    assert main([*arguments, "--resume", "--max-turns", "40"]) == 0
    assert "(earlier)" not in capfd.readouterr().err, "other limits are other attempts"


def test_without_an_engine_nothing_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    out = tmp_path / "out"
    assert main(["--dataset", str(DATA), "--agent", "gold", "--out", str(out)]) == 4
    assert capfd.readouterr().err.startswith("qcode-evals: no Docker engine answers")
    assert kept(out) == []


def test_a_row_that_is_no_task_is_not_tried(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rows = [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]
    row = next(row for row in rows if row["instance_id"] == "quixbugs__gcd")
    row["patch"] = row["patch"].replace("+        return gcd(b, a % b)", "+        return gcd(a, b)")
    data = tmp_path / "data.jsonl"
    data.write_text(json.dumps(row) + "\n", encoding="utf-8")
    assert main(["--dataset", str(data), "--agent", "gold", "--out", str(tmp_path / "gold")]) == 0
    model = scripted(tmp_path / "model.jsonl", FIX)
    out = tmp_path / "out"
    assert main(["--dataset", str(data), "--agent", "qcode", "--model", model, "--out", str(out)]) == 0
    assert outcomes(out) == {("quixbugs__gcd", 0, "invalid_task")}
    said = capfd.readouterr()
    assert "its own patch resolved it in 0 of 1 runs here" in said.err
    assert "0 of 0 resolved" in said.out
    assert "1 no task; no task: quixbugs__gcd" in said.out


class Quiet:
    """A watcher that keeps what it is told."""

    def __init__(self) -> None:
        self.retries: list[str] = []

    def phase(self, attempt: str, name: str) -> None:
        """Not kept."""

    def retry(self, attempt: str, phase: str, why: str) -> None:
        self.retries.append(f"{phase}: {why}")


async def made(tmp_path: Path, command: str, *, deadlines: Deadlines, watcher: Quiet) -> Attempt:
    """One attempt of a scripted model in a small box."""
    gcd = next(row for row in load(DATA) if row.instance_id == "quixbugs__gcd")
    options = RunOptions(repo=Path(), model=scripted(tmp_path / "model.jsonl", command))
    agent = Plan("qcode", options, 1).agent()

    def small_box(
        instance: Instance, image: str, fittings: Fittings = PLAIN, /
    ) -> AbstractAsyncContextManager[Sandbox]:
        return open_sandbox(DockerSpec(image=image, workdir="/testbed", memory_mb=600, tmp_mb=64))

    maker = Maker(agent, Images(await pip_settings()), small_box, watcher, tmp_path, deadlines)
    try:
        return (await maker.make(Job(gcd, 0, "key"))).attempt
    finally:
        await agent.aclose()


async def test_an_agent_that_runs_out_of_memory(tmp_path: Path) -> None:
    command = "python3 -c 'x = bytearray(1 << 30); x[::4096] = b\"x\" * (1 << 18)'"
    attempt = await made(tmp_path, command, deadlines=Deadlines(), watcher=Quiet())
    assert (attempt.outcome, attempt.oom_kills) == ("agent_oom", 1)


async def test_a_phase_that_hangs_is_the_infrastructures_failure(tmp_path: Path) -> None:
    watcher = Quiet()
    attempt = await made(tmp_path, "sleep 600", deadlines=Deadlines(agent=2.0), watcher=watcher)
    assert attempt.outcome == "infra_error"
    assert watcher.retries == ["agent: the phase agent did not end within 2 s"]


@dataclass(frozen=True)
class Breaking(Empty):
    """An agent that has a fault, or whose patch meets one: no file can hold this half of a character."""

    answers: bool = False

    async def solve(self, instance: Instance, open_box: OpenBox, place: Place) -> Prediction:
        return Prediction(instance.patch + ("\ud800" if self.answers else str(1 // len(self.settings))))


@pytest.mark.parametrize(("answers", "outcome"), [(False, "agent_error"), (True, "unresolved")])
async def test_a_fault_costs_one_attempt_and_counts_against_it(answers: bool, outcome: str, tmp_path: Path) -> None:
    gcd = next(row for row in load(DATA) if row.instance_id == "quixbugs__gcd")
    maker = Maker(Breaking(answers=answers), Images(await pip_settings()), open_box, Quiet(), tmp_path)
    attempt = (await maker.make(Job(gcd, 0, "key"))).attempt
    assert (attempt.outcome, attempt.retries) == (outcome, 0)
    assert attempt.reason.startswith("a fault of the harness, please report it: ")


class Engine:
    """The engine's socket behind one of ours, which once goes away for a moment: when a mark passes to the engine."""

    AWAY_S = 1.0

    def __init__(self, path: Path, engine: str, mark: bytes) -> None:
        self.path, self._engine, self._mark = path, engine, mark
        self.went = False
        self._back = 0.0
        self._writers: set[asyncio.StreamWriter] = set()
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> "Engine":
        self._thread.start()
        assert self._started.wait(60)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        async with await asyncio.start_unix_server(self._meet, str(self.path)):
            self._started.set()
            await self._end.wait()
            for writer in self._writers:
                writer.transport.abort()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._loop.time() < self._back:
            writer.transport.abort()
            return
        there, back = await asyncio.open_unix_connection(self._engine)
        self._writers |= {writer, back}
        try:
            await asyncio.gather(self._pass(reader, back, watch=True), self._pass(there, writer, watch=False))
        finally:
            self._writers -= {writer, back}
            writer.close()
            back.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, watch: bool) -> None:
        try:
            while data := await reader.read(65536):
                if watch and not self.went and self._mark in data:
                    self.went, self._back = True, self._loop.time() + self.AWAY_S
                    for one in self._writers:
                        one.transport.abort()
                writer.write(data)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
        except OSError:
            writer.transport.abort()


async def test_an_engine_that_goes_away_is_waited_for_and_the_attempt_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = Quiet()
    engine = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    with Engine(tmp_path / "docker.sock", engine, b"away-now") as proxy:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{proxy.path}")
        attempt = await made(tmp_path, f"{FIX}; : away-now", deadlines=Deadlines(pause=3.0), watcher=watcher)
    assert proxy.went
    assert (attempt.outcome, attempt.retries) == ("resolved", 1), attempt.reason
    assert len(watcher.retries) == 1
    assert watcher.retries[0].startswith("agent: ")


async def test_an_engine_that_stays_away_is_no_failure_of_the_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'nothing.sock'}")
    attempt = await made(tmp_path, FIX, deadlines=Deadlines(pause=0.0), watcher=Quiet())
    assert (attempt.outcome, attempt.resolved) == ("infra_error", False)
    assert attempt.reason.startswith("no Docker engine answers")


FULL = """
import resource, sys
from qcode_evals.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))
sys.exit(main(sys.argv[1:]))
"""


def test_a_disk_that_is_full_is_one_line_and_what_is_finished_stays(tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["--dataset", str(DATA), "--instance", "quixbugs__gcd", "--agent", "gold", "--out", str(out)]
    command = [sys.executable, "-P", "-c", FULL, *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert f"cannot write to {out}: File too large; what is there is kept for --resume" in done.stderr
    assert main([*arguments, "--resume", "--expect-resolved", "all"]) == 0
