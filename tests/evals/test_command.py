"""Another agent in the same boxes: its definition as data, and its model behind an endpoint that counts."""

import asyncio
import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from qcode.errors import ConfigError
from qcode_evals.agents.command.definition import load_definition, shipped
from qcode_evals.agents.command.endpoint import Endpoint, Model
from qcode_evals.agents.command.tally import Tally
from qcode_evals.cli import main
from qcode_evals.server.inflight import InFlight
from qcode_sandbox.service import listening

DATA = Path(__file__).with_name("data") / "instances.jsonl"
SERVER = Path(__file__).parents[2] / "benchmarks" / "openai_server.py"
USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 60}}


def whole(text: str, usage: dict[str, Any] | None = USAGE) -> dict[str, Any]:
    """A reply of the scripted server to a request that does not stream."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"status": 200, "body": {"id": "a", "object": "chat.completion", "choices": [choice], "usage": usage}}


def scripted_server(replies: list[dict[str, Any]]) -> Any:
    """See benchmarks/openai_server.py."""
    spec = importlib.util.spec_from_file_location("openai_server", SERVER)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.OpenAIServer(replies)


@asynccontextmanager
async def endpoint(
    replies: list[dict[str, Any]], tally: Tally, *, room: int = 64, **sampling: Any
) -> AsyncIterator[tuple[httpx.AsyncClient, Any]]:
    """A client of an endpoint in front of a scripted server."""
    server = scripted_server(replies)
    url = await server.start()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.sock"
        async with httpx.AsyncClient(headers={"Authorization": "Bearer secret"}, timeout=60) as far:
            handle = Endpoint(Model(far, url, "the-model", sampling, InFlight(room)), tally).handle
            async with listening(path, handle, limit=1 << 16):
                near = httpx.AsyncHTTPTransport(uds=str(path))
                async with httpx.AsyncClient(transport=near, base_url="http://box/v1/") as client:
                    client.headers["x-socket"] = str(path)
                    yield client, server
            await server.stop()


def asked(**more: Any) -> dict[str, Any]:
    return {"model": "whatever", "messages": [{"role": "user", "content": "hello"}], **more}


async def test_an_answer_is_counted_and_the_model_is_put_in(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "dialogue.jsonl")
    async with endpoint([whole("yes")], tally, temperature=0.5) as (client, server):
        answer = (await client.post("chat/completions", json=asked(temperature=1.0))).json()
        assert answer["choices"][0]["message"]["content"] == "yes"
        assert (await client.get("models")).json()["data"][0]["id"] == "the-model"
        assert (await client.post("files", json={})).status_code == 404
        (_, _, headers, body) = server.requests[0]
    assert (body["model"], body["temperature"]) == ("the-model", 0.5)
    assert headers["authorization"] == "Bearer secret", "the key is the harness's and never in the box"
    assert tally.usage.model_dump(exclude_defaults=True) == {
        "prompt_tokens": 100, "cached_tokens": 60, "completion_tokens": 20, "requests": 1,
    }  # fmt: skip
    line = json.loads((tmp_path / "dialogue.jsonl").read_text(encoding="utf-8"))
    assert (line["messages"][0]["content"], line["answer"]) == ("hello", "yes")


async def test_the_log_holds_each_message_once(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "dialogue.jsonl")
    history = [{"role": "user", "content": "hello"}]
    async with endpoint([whole("yes")], tally) as (client, _):
        for number in range(3):
            await client.post("chat/completions", json={"messages": history})
            history += [{"role": "assistant", "content": "yes"}, {"role": "user", "content": f"more {number}"}]
    lines = [json.loads(line) for line in (tmp_path / "dialogue.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(line["kept"], len(line["messages"])) for line in lines] == [(0, 1), (1, 2), (3, 2)]


async def test_a_stream_is_counted_also_where_the_agent_did_not_ask_for_it() -> None:
    tally = Tally()
    replies = [{"text": "one two", "chunk": 3, "usage": USAGE}]
    async with endpoint(replies, tally) as (client, server):
        plain = (await client.post("chat/completions", json=asked(stream=True))).text
        asking = asked(stream=True, stream_options={"include_usage": True})
        told = (await client.post("chat/completions", json=asking)).text
        assert all(body["stream_options"] == {"include_usage": True} for body in server.bodies)
    assert "usage" not in plain
    assert plain.rstrip().endswith("data: [DONE]")
    assert '"usage"' in told
    assert (tally.usage.prompt_tokens, tally.usage.completion_tokens, tally.usage.requests) == (200, 40, 2)


async def test_what_a_server_does_not_tell_is_not_made_up() -> None:
    tally = Tally()
    async with endpoint([whole("yes", None)], tally) as (client, _):
        await client.post("chat/completions", json=asked())
    assert tally.usage.model_dump(exclude_defaults=True) == {"requests": 1, "cache_untold": 1}


@pytest.mark.parametrize(
    ("limits", "answers", "limit"),
    [({"max_turns": 2}, 2, "max_turns"), ({"max_tokens": 100}, 2, "max_tokens"), ({"max_tokens": 60}, 1, "max_tokens")],
)
async def test_limits_hold_where_they_are_counted(limits: dict[str, int], answers: int, limit: str) -> None:
    tally = Tally(**limits)
    async with endpoint([whole("yes")], tally) as (client, server):
        statuses = [(await client.post("chat/completions", json=asked())).status_code for _ in range(4)]
        assert len(server.bodies) == answers
    assert statuses == [200] * answers + [400] * (4 - answers)
    assert tally.over.is_set()
    assert tally.limit == limit


async def test_a_server_that_goes_away_is_told_and_remembered() -> None:
    tally = Tally()
    async with endpoint([whole("yes")], tally) as (client, server):
        await server.stop()
        answer = await client.post("chat/completions", json=asked())
    assert answer.status_code == 502
    assert "cannot be asked" in tally.failure


async def test_a_stream_that_breaks_off_ends_the_agents_connection_too(caplog: pytest.LogCaptureFixture) -> None:
    tally = Tally()
    async with endpoint([{"text": "one two", "chunk": 1, "close_at": 3}], tally) as (client, _):
        with pytest.raises(httpx.HTTPError):
            await client.post("chat/completions", json=asked(stream=True))
        await asyncio.sleep(0)
    assert "cannot be asked" in tally.failure
    assert not caplog.records, "the terminal of whoever runs the harness stays clean"


async def test_an_agent_that_hangs_up_does_not_keep_the_server() -> None:
    async with endpoint([{"text": "yes", "hang_s": [-1, 60]}, {"text": "yes"}], Tally(), room=1) as (client, _):
        with pytest.raises(httpx.ReadTimeout):
            await client.post("chat/completions", json=asked(stream=True), timeout=0.2)
        answer = await client.post("chat/completions", json=asked(stream=True), timeout=20)
    assert '"yes"' in answer.text


async def test_errors_of_the_server_pass_and_do_not_count() -> None:
    tally = Tally()
    replies = [{"status": 429, "body": {"error": {"message": "later"}}, "headers": {"Retry-After": "1"}}]
    async with endpoint(replies, tally) as (client, _):
        answer = await client.post("chat/completions", json=asked(stream=True))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert tally.usage.requests == 0


async def test_what_is_no_request_ends_the_connection() -> None:
    tally = Tally()
    async with endpoint([whole("yes")], tally) as (client, _):
        reader, writer = await asyncio.open_unix_connection(client.headers["x-socket"])
        writer.write(b"\x00 nonsense\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 400")
        writer.close()
        assert (await client.post("chat/completions", content=b"[1]")).status_code == 400


def test_the_shipped_definitions_load() -> None:
    assert shipped() == ("aider", "mini-swe-agent", "mistral-vibe", "qwen-code", "qwen-code-bare")
    for name in shipped():
        assert load_definition(name).name == name


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('name = "x"\n', "argv: Field required"),
        ('name = "x"\nargv = ["a"]\nclean = ["../b"]\n', "not a glob of the work tree"),
        ('name = "x"\nargv = ["a"]\n[install]\nsuite = "sid"\n', "the suite is one of"),
        ('name = "x"\nargv = ["a"]\n[usage]\nprompt = "tokens"\n', "one group"),
        ("name = ", "is not a definition"),
    ],
)
def test_a_definition_that_is_none(text: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=why):
        load_definition(str(file))


def test_an_unknown_agent_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--dataset", str(DATA), "--agent", "nobody", "--out", str(tmp_path / "out")]) == 2
    assert "give one of gold, empty, qcode, aider" in capfd.readouterr().err
    assert main(["--dataset", str(DATA), "--agent", "aider", "--out", str(tmp_path / "out")]) == 2
    assert "give --base-url" in capfd.readouterr().err


def test_usage_that_an_agent_prints() -> None:
    printed = load_definition("aider").usage
    usage = printed.usage("Tokens: 2.5k sent, 120 received.\nmore\nTokens: 1,100 sent, 1k received.\n")
    assert (usage.prompt_tokens, usage.completion_tokens) == (3600, 1120)


AGENT = """
import json, os, subprocess, sys, urllib.request
seen = 0
messages = [{"role": "user", "content": sys.stdin.read()}]
while True:
    body = json.dumps({"model": "any", "messages": messages}).encode()
    request = urllib.request.Request(os.environ["URL"] + "/chat/completions", body, {"Content-Type": "text/json"})
    said = json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"]
    messages.append({"role": "assistant", "content": said})
    if said == "done":
        break
    out = subprocess.run(said, shell=True, capture_output=True, text=True)
    messages.append({"role": "user", "content": out.stdout + out.stderr})
open("leftover.log", "w").write("mine")
subprocess.run("git config user.email a@b && git config user.name a && git add -A && git commit -qm x", shell=True)
"""


def definition(folder: Path) -> Path:
    """A small agent of its own, as a file."""
    file = folder / "agent.json"
    value = {
        "name": "small-agent", "argv": ["python3", "/tmp/agent.py"], "stdin": "${task}", "env": {"URL": "${base_url}"},
        "files": {"/tmp/agent.py": AGENT}, "clean": ["leftover.*"],
    }  # fmt: skip
    file.write_text(json.dumps(value), encoding="utf-8")
    return file


@contextmanager
def scripted(replies: list[dict[str, Any]], folder: Path) -> Iterator[str]:
    """The scripted server in a process of its own; its URL."""
    script = folder / "replies.jsonl"
    script.write_text("".join(json.dumps(reply) + "\n" for reply in replies), encoding="utf-8")
    command = [sys.executable, "-P", str(SERVER), "--script", str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=folder, text=True) as child:
        try:
            assert child.stdout
            yield child.stdout.readline().strip()
        finally:
            child.kill()


@pytest.mark.docker
def test_an_agent_works_in_the_box_and_is_graded(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fix = "sed -i 's/gcd(a % b, b)/gcd(b, a % b)/' python_programs/gcd.py; bash -c '(echo > /dev/tcp/1.1.1.1/80) 2>&1'"
    out = tmp_path / "out"
    with scripted([whole(fix), whole("done")], tmp_path) as url:
        arguments = ["--dataset", str(DATA), "--instance", "quixbugs__gcd", "--agent", str(definition(tmp_path))]
        arguments += ["--base-url", url, "--out", str(out)]
        assert main([*arguments, "--expect-resolved", "all"]) == 0, capfd.readouterr().err
        attempt = json.loads((out / "attempts.jsonl").read_text(encoding="utf-8"))
        assert (attempt["agent"], attempt["outcome"], attempt["steps"]) == ("small-agent", "resolved", 2)
        assert attempt["usage"]["prompt_tokens"] == 200
        assert "leftover" not in (out / "logs/quixbugs__gcd/patch.diff").read_text(encoding="utf-8")
        dialogue = [json.loads(line) for line in (out / attempt["trajectory"]).read_text(encoding="utf-8").splitlines()]
        assert "nreachable" in dialogue[1]["messages"][-1]["content"], "there is no network but the model"
        assert "does not do what its docstring says" in dialogue[0]["messages"][0]["content"]
        assert "sed -i &#x27;s/gcd" in (out / "report.html").read_text(encoding="utf-8"), "the page shows the dialogue"


@pytest.mark.docker
def test_a_limit_ends_an_agent_and_its_patch_is_graded(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with scripted([whole("echo '# more' >> python_programs/gcd.py")], tmp_path) as url:
        arguments = ["--dataset", str(DATA), "--instance", "quixbugs__gcd", "--agent", str(definition(tmp_path))]
        arguments += ["--base-url", url, "--out", str(out), "--max-turns", "3"]
        assert main(arguments) == 0
    attempt = json.loads((out / "attempts.jsonl").read_text(encoding="utf-8"))
    assert (attempt["outcome"], attempt["stop_reason"], attempt["steps"]) == ("agent_limit", "max_turns", 3)
