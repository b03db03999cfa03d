"""A model's server that goes away in the middle of a run, as real servers on a real socket do."""

import asyncio
import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from openai_script import module, serving
from waiting import come_about, wait_until

from qcode.app.options import RunOptions
from qcode.backends.retry import AT_ONCE
from qcode_evals.cli import main
from qcode_evals.running.executors.local import LocalExecutor
from qcode_evals.running.making import Job, Made, Maker
from qcode_evals.running.plans import Plan
from qcode_evals.server.looking import look_over_http
from qcode_evals.server.presence import MOST_HITS, Outage, ServerLost, Sight, Watch
from qcode_evals.tasks.dataset import Instance, load
from qcode_evals.tasks.trees import tree_hash

DATA = Path(__file__).with_name("data") / "instances.jsonl"
SERVER = Path(__file__).parents[2] / "benchmarks" / "openai_server.py"
FILES = {"calc.py": "def add(a, b):\n    return a - b\n"}
FIX = "sed -i 's/a - b/a + b/' calc.py"
SCRIPT = """#!/bin/bash
cd /testbed
cat >test_calc.py <<'EOF'
import unittest
from calc import add


class T(unittest.TestCase):
    def test_add(self):
        self.assertEqual(add(2, 3), 5)
EOF
: '>>>>> Start Test Output'
python3 -m unittest -v test_calc
: '>>>>> End Test Output'
"""
DEAD = {"status": 500, "body": {"error": {"message": "EngineCore encountered an issue", "code": 500}}}
AGENT = """
import json, os, subprocess, sys, urllib.request
while True:
    body = json.dumps({"model": "any", "messages": [{"role": "user", "content": "go on"}]}).encode()
    request = urllib.request.Request(os.environ["URL"] + "/chat/completions", body, {"Content-Type": "text/json"})
    said = json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"]
    subprocess.run(said, shell=True)
"""


@pytest.fixture
def calc(tmp_path: Path) -> Instance:
    """A task whose boxes are namespaces of this machine."""
    row = {
        "instance_id": "presence__calc", "repo": "presence/calc", "problem_statement": "add() in calc.py subtracts",
        "patch": "", "test_patch": "", "log_parser": "parse_log_django", "eval_script": SCRIPT,
        "FAIL_TO_PASS": ["test_add (test_calc.T.test_add)"], "PASS_TO_PASS": [],
        "environment": {"base": "debian-bookworm-py3.11", "source": {"files": FILES, "tree": tree_hash(FILES)}},
    }  # fmt: skip
    path = tmp_path / "row.jsonl"
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    (instance,) = load(path)
    return instance


def calling(command: str) -> dict[str, Any]:
    call = f"<tool_call>\n<function=bash>\n<parameter=command>\n{command}\n</parameter>\n</function>\n</tool_call>"
    return {"text": call}


def whole(text: str) -> dict[str, Any]:
    """For a program that does not stream."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"status": 200, "body": {"id": "a", "object": "chat.completion", "choices": [choice], "usage": None}}


def program(folder: Path) -> str:
    """The definition of another agent, as a file."""
    value = {
        "name": "small-agent", "argv": ["python3", "/tmp/agent.py"], "env": {"URL": "${base_url}"},
        "files": {"/tmp/agent.py": AGENT},
    }  # fmt: skip
    file = folder / "agent.json"
    file.write_text(json.dumps(value), encoding="utf-8")
    return str(file)


class Told:
    """A watcher that keeps what it is told."""

    def __init__(self) -> None:
        self.retries: list[str] = []

    def phase(self, attempt: str, name: str) -> None:
        """Not kept."""

    def retry(self, attempt: str, phase: str, why: str) -> None:
        self.retries.append(why)


@asynccontextmanager
async def executor(
    name: str, url: str, folder: Path, outage: Outage, watcher: Told, workers: int = 2
) -> AsyncIterator[LocalExecutor]:
    options = RunOptions(repo=Path(), base_url=url, tools="swe", max_turns=1, retry=AT_ONCE)
    plan = Plan(name, options, workers, boxes="process")
    agent = await asyncio.to_thread(plan.agent) if name != "qcode" else plan.agent()
    images, open_box = await plan.environments()
    try:
        yield LocalExecutor(Maker(agent, images, open_box, watcher, folder), workers, outage)
    finally:
        await agent.aclose()


async def all_of(executor: LocalExecutor, instance: Instance, count: int) -> list[Made]:
    jobs = [Job(instance, repeat, f"key {repeat}") for repeat in range(count)]
    async with aclosing(executor.run(jobs)) as finished:
        return [made async for made in finished]


@pytest.mark.parametrize("agent", ["qcode", "another"])
async def test_a_server_that_comes_back_costs_no_attempt(agent: str, calc: Instance, tmp_path: Path) -> None:
    notes: list[str] = []
    watcher = Told()
    fix = calling(FIX) if agent == "qcode" else whole(FIX)
    async with serving({"hang_s": [-1, 600], **fix}) as (url, first):
        name = agent if agent == "qcode" else program(tmp_path)
        async with executor(name, url, tmp_path, Outage(note=notes.append), watcher) as made_by:
            run = asyncio.ensure_future(all_of(made_by, calc, 3))
            await come_about(lambda: first.hangs == 2, "two attempts wait for the model")
            await first.stop()
            await come_about(lambda: notes)
            second = module().OpenAIServer([fix])
            await second.start(urlsplit(url).port or 0)
            try:
                made = await run
            finally:
                await second.stop()
    assert [(one.attempt.outcome, one.attempt.retries) for one in made] == [("resolved", 0)] * 3, made
    assert watcher.retries == []
    assert len(notes) == 2, "one line when it went, and one when it was back"
    assert notes[0].startswith("waiting up to 600 s for the model's server, what it broke off is made again: nothing")
    assert notes[1].startswith("the model's server answers again, after ")


async def test_an_engine_that_stays_dead_stops_the_run_and_what_is_finished_stays(
    calc: Instance, tmp_path: Path
) -> None:
    notes: list[str] = []
    outcomes: Counter[str] = Counter()
    # The first attempt is through with one answer; then whatever is asked fails.
    async with serving(calling(FIX), DEAD) as (url, server):
        outage = Outage(patience_s=0.2, note=notes.append)
        async with executor("qcode", url, tmp_path, outage, Told(), workers=1) as made_by:
            with pytest.raises(ServerLost, match=r"did not come back within 0\.2 s; what is finished") as stopped:
                async with aclosing(made_by.run([Job(calc, repeat, f"{repeat}") for repeat in range(60)])) as finished:
                    async for one in finished:
                        outcomes[one.attempt.outcome] += 1
        assert len(server.bodies) < 30, "not sixty attempts, each tried twice"
    assert stopped.value.exit_code == 3
    assert "EngineCore encountered an issue" in str(stopped.value)
    assert outcomes == {"resolved": 1}
    assert len(notes) == 1


async def test_what_only_one_attempt_fails_with_is_no_lost_server(calc: Instance, tmp_path: Path) -> None:
    notes: list[str] = []
    watcher = Told()
    async with (
        serving({"chunks": ["{no JSON"]}) as (url, _),
        executor("qcode", url, tmp_path, Outage(note=notes.append), watcher, workers=1) as made_by,
    ):
        (made,) = await all_of(made_by, calc, 1)
    assert (made.attempt.outcome, made.attempt.retries) == ("infra_error", 1)
    assert len(watcher.retries) == 1
    assert notes == []


@pytest.mark.parametrize(
    ("reply", "models", "answers", "lost"),
    [
        ({"text": "yes"}, 200, True, ""),
        ({"status": 429, "body": {"error": {"message": "slow down"}}, "headers": {"Retry-After": "1"}}, 200, True, ""),
        ({"status": 400, "body": {"error": {"message": "no"}}}, 200, True, ""),
        ({"status": 503, "body": {"error": {"message": "too many"}}}, 200, False, ""),
        ({"status": 503, "body": "no endpoints"}, 503, False, "answers 503: no endpoints"),
        (DEAD, 200, False, "answers 500: EngineCore encountered an issue"),
        ({"raw": "garbage"}, 200, False, "nothing answers at"),
    ],
)
async def test_a_look(reply: dict[str, Any], models: int, answers: bool, lost: str) -> None:
    async with serving(reply, routes={"/v1/models": (models, {"data": [{"id": "scripted"}]})}) as (url, _):
        sight = await look_over_http(url, lambda: "scripted", None)()
    assert sight.answers is answers
    assert lost in sight.lost
    assert bool(sight.lost) is bool(lost)


async def test_nobody_there_is_lost_and_one_look_serves_all() -> None:
    async with serving({"text": "yes"}) as (url, server):
        watch = Watch(look_over_http(url, lambda: "scripted", None))
        sights = await asyncio.gather(*(watch.look() for _ in range(20)))
        assert all(sight.answers for sight in sights)
        assert len(server.bodies) == 1
        await server.stop()
        watch.doubt()
        sights = await asyncio.gather(*(watch.look() for _ in range(20)))
    assert all(sight.lost.startswith(f"nothing answers at {url}: ") for sight in sights)
    assert watch.losses == 1
    await watch.aclose()


async def test_an_attempt_that_ends_the_server_each_time_is_given_up() -> None:
    outage = Outage()
    assert [outage.again("a") for _ in range(MOST_HITS + 1)] == [True] * MOST_HITS + [False]
    assert outage.again("b")


async def test_a_server_that_is_only_busy_is_not_waited_for() -> None:
    async def busy() -> Sight:
        return Sight(False)

    await Outage(patience_s=0.0).over(busy)


def finished(out: Path) -> list[dict[str, Any]]:
    path = out / "attempts.jsonl"
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def started(replies: list[dict[str, Any]], folder: Path, port: int = 0) -> "tuple[subprocess.Popen[str], str]":
    """The server as a process; with its URL."""
    script = folder / "replies.jsonl"
    script.write_text("".join(json.dumps(reply) + "\n" for reply in replies), encoding="utf-8")
    command = [sys.executable, "-P", str(SERVER), "--script", str(script), "--port", str(port)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=folder, text=True)
    assert child.stdout
    return child, child.stdout.readline().strip()


@pytest.mark.docker
def test_a_run_whose_server_stays_away_ends_with_3_and_is_continued(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    fix = calling("sed -i 's/gcd(a % b, b)/gcd(b, a % b)/' python_programs/gcd.py")
    server, url = started([fix, {"hang_s": [-1, 600], **fix}], tmp_path)
    arguments = ["--dataset", str(DATA), "--instance", "quixbugs__gcd", "--agent", "qcode", "--base-url", url]
    arguments += ["--tools", "swe", "--repeat", "2", "--max-turns", "1", "--wait-for-server", "1", "--out", str(out)]

    def end() -> None:
        with suppress(AssertionError):
            wait_until(lambda: finished(out))
        server.kill()
        server.communicate()

    ending = threading.Thread(target=end)
    ending.start()
    assert main(arguments) == 3
    ending.join()
    said = capfd.readouterr().err.splitlines()
    assert said[-1].startswith("qcode-evals: the model's server did not come back within 1 s; what is finished is kept")
    assert sum("waiting up to 1 s for the model's server" in line for line in said) == 1
    assert [attempt["outcome"] for attempt in finished(out)] == ["resolved"]
    server, _ = started([fix], tmp_path, urlsplit(url).port or 0)
    try:
        assert main([*arguments, "--resume"]) == 0
    finally:
        server.kill()
        server.communicate()
    assert capfd.readouterr().err.count("(earlier)") == 1
    assert [attempt["outcome"] for attempt in finished(out)] == ["resolved"] * 2
