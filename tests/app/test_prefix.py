"""The prompt of a session only grows at its end, byte by byte, as the model's own template writes it: whatever else
happened, what a server has read once it need not read again."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import jinja2
from calls import call, edit, git
from mcp_speaking import speaker
from openai_script import serving
from talking import work

from qcode.app.options import RunOptions
from qcode.app.servers import configured_servers
from qcode.app.wiring import converse
from qcode.config.settings import Settings
from qcode.events import Feedback, ToolFinished
from qcode.policy.policy import Mode
from qcode_tools.result import Status

TEMPLATE = Path(__file__).parents[2] / "benchmarks" / "qwen3_coder.jinja"


def prompts(bodies: list[dict[str, Any]]) -> list[str]:
    """What the model reads for each request, without the words that ask it to begin."""
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, autoescape=False)
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    for body in bodies:
        for message in body["messages"]:
            for made in message.get("tool_calls", ()):
                made["function"]["arguments"] = json.loads(made["function"]["arguments"])
    return [template.render(messages=body["messages"], tools=body.get("tools")) for body in bodies]


async def test_edits_errors_and_servers_of_tools_leave_what_was_read_as_it_was(home: Path) -> None:
    parsed = {"name": "bash", "arguments": '{"command":  "printf \'\\u00e9 \\ud83d\'", "timeout": 5.0}'}
    first_turn = [
        {"text": "I look.\n\n" + call("bash", command="ls")},
        {"text": edit("calc.py", "a - b", "a + b")},
        {"text": edit("calc.py", "is not there", "x")},
        {"text": call("launch", where="the moon")},
        {"text": "Sure:\n<function=bash>\n<parameter=command>\nexit 3\n</parameter>\n</function>"},
        {"text": "<tool_call>\n<function=>\n</function>\n</tool_call>"},
        {"calls": [parsed, {"name": "bash", "arguments": '{"command": "ls'}]},
        {"thinking": "Which one?", "text": call("mcp__one__say", word="hello") + call("mcp__one__say", word="é")},
        {"text": call("mcp__closed__say", word="x")},
        {"text": call("mcp__changing__say", word="x")},
        {"text": call("mcp__changing__say", word="y")},
        {"text": "All is done.  \n"},
    ]
    second_turn = [{"text": edit("calc.py", "a + b", "b + a")}, {"text": call("bash", command="exit 1")}, {"text": "."}]
    tables = {"one": speaker("plain"), "closed": speaker("fails"), "changing": speaker("rug-now")}
    servers = configured_servers(Settings(mcp=tables), None, print)
    async with serving(*first_turn, *second_turn) as (url, server):
        options = RunOptions(
            repo=home, base_url=url, model="m", sandbox="bubblewrap", servers=servers, tools="swe", small_context=True
        )
        async with converse(options, approver=None, mode=Mode.YOLO) as talk:
            events = await work(talk, "Fix add() in calc.py.")
            async for _ in talk.shell("echo a command of the user's"):
                pass
            events += await work(talk, "And now?\n\n")
    results = [event.result for event in events if isinstance(event, ToolFinished)]
    assert {Status.OK, Status.ERROR} <= {result.status for result in results}
    assert [result.content for result in results if result.name == "mcp__one__say"] == ["said hello", "said é"]
    assert any(isinstance(event, Feedback) for event in events)
    assert len(server.bodies) == len(first_turn) + len(second_turn)
    assert len({json.dumps(body["tools"]) for body in server.bodies}) == 1
    for before, after in pairwise(prompts(server.bodies)):
        assert after.startswith(before)
        assert len(after) > len(before)
    asked = [headers for _, path, headers, _ in server.requests if path.endswith("/chat/completions")]
    assert len({headers["x-session-id"] for headers in asked}) == 1


async def test_sessions_in_other_folders_begin_with_the_same_bytes(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "another-name"
    other.mkdir(parents=True)
    git(other, "init", "-q")
    (other / "main.c").write_text("int main(void) { return 0; }\n", encoding="utf-8")
    async with serving({"text": "Done."}) as (url, server):
        for repo, words in ((home, "Fix it."), (other, "Explain it.")):
            options = RunOptions(repo=repo, base_url=url, model="m", sandbox="bubblewrap", small_context=True)
            async with converse(options, approver=None, mode=Mode.YOLO) as talk:
                await work(talk, words)
    # Two conversations, whatever connection they share: a router may part them.
    named = {headers["x-session-id"] for _, path, headers, _ in server.requests if path.endswith("/completions")}
    assert len(named) == 2
    heads = {prompt.partition("<|im_start|>user")[0] for prompt in prompts(server.bodies)}
    [head] = heads
    assert len(head) > 1000
