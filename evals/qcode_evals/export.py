"""`qcode-evals export`: trajectories of a run as training data, with rewards, and pairs of attempts at one task.

Formats: openai (`messages` with `tool_calls`, `tools`), ms-swift (roles tool_call and tool_response, `tools` as JSON
text, `loss` per message), sharegpt (`conversations`). Only what the model wrote well is learned from: an answer that
had to be repaired, or whose call failed, has the loss flag false. Each trajectory is rendered by the chat template and
read back; one that does not come out as it went in is left out.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qcode.codec import parse, render
from qcode.errors import ConfigError
from qcode.events import SessionStarted
from qcode.messages import Assistant, Message, Tool, ToolCall, User
from qcode.session.fold import fold
from qcode.session.log import SessionError, read_log
from qcode_evals.attempt import Attempt
from qcode_evals.compare import read_attempts
from qcode_tools.result import Status
from qcode_tools.spec import ToolSpec
from qcode_tools.toolsets import build_toolset

_ENDS = "<|im_end|>"


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One attempt as a conversation."""

    attempt: Attempt
    system: str
    tools: tuple[ToolSpec, ...]
    history: tuple[Message, ...]

    @property
    def reward(self) -> float:
        """1 where the hidden tests passed, else 0."""
        return float(self.attempt.resolved)

    def learned(self, place: int) -> bool:
        """Whether the model shall learn to write this answer."""
        message = self.history[place]
        if not isinstance(message, Assistant) or message.problems or message.written:
            return False
        calls = {call.id for call in message.tool_calls}
        results = [later.result for later in self.history[place:] if isinstance(later, Tool)]
        return all(result.status is Status.OK for result in results if result.call_id in calls)


def trajectory(folder: Path, attempt: Attempt) -> Trajectory | str:
    """The conversation of an attempt, or why there is none to learn from."""
    if not attempt.outcome.counts or not attempt.trajectory:
        return "not the agent's"
    try:
        events = list(read_log(folder / attempt.trajectory))
    except (SessionError, OSError):
        return "its log cannot be read"
    started = next((event for event in events if isinstance(event, SessionStarted)), None)
    if started is None:
        return "its log has no beginning"
    specs = {spec.name: spec for spec in build_toolset(started.settings.get("toolset", "swe")).specs}
    tools = tuple(specs[name] for name in started.tools if name in specs)
    found = Trajectory(attempt, started.system, tools, fold(events))
    if not any(isinstance(message, Assistant) for message in found.history):
        return "the model said nothing"
    return found if _comes_back(found) else "does not come out of the chat template as it went in"


def _comes_back(found: Trajectory) -> bool:
    """Whether every answer, written by the template and read by the codec, has the calls that it had."""
    for place, message in enumerate(found.history):
        if isinstance(message, Assistant):
            head = render(found.system, found.history[:place], found.tools)
            whole = render(found.system, found.history[: place + 1], found.tools, generation_prompt=False)
            if not whole.startswith(head):
                return False
            read = parse(whole[len(head) :].rpartition(_ENDS)[0], found.tools)
            if [_spelled(call.name, call.arguments) for call in read.tool_calls] != [
                _spelled(call.name, call.arguments) for call in message.tool_calls
            ]:
                return False
    return True


def _spelled(name: str, arguments: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """A call as the template writes it, where a number that no schema declares is text as any other."""
    return name, {key: value if isinstance(value, str) else json.dumps(value) for key, value in arguments.items()}


def _functions(tools: Sequence[ToolSpec]) -> list[dict[str, Any]]:
    return [
        {"type": "function", "function": {"name": t.name, "description": t.description, "parameters": t.parameters}}
        for t in tools
    ]


def _call_text(name: str, arguments: dict[str, Any]) -> str:
    return json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)


def _openai_call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)}
    return {"id": call.id, "type": "function", "function": function}


def openai(found: Trajectory) -> dict[str, Any]:
    """`messages` as the Chat Completions API has them; `weight` 0 where nothing is to be learned."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": found.system}]
    for place, message in enumerate(found.history):
        match message:
            case User(text=text):
                messages.append({"role": "user", "content": text})
            case Assistant(text=text, tool_calls=calls):
                said: dict[str, Any] = {"role": "assistant", "content": text, "weight": int(found.learned(place))}
                if calls:
                    said["tool_calls"] = [_openai_call(call) for call in calls]
                messages.append(said)
            case Tool(result=result):
                messages.append({"role": "tool", "tool_call_id": result.call_id, "content": result.content})
    return {"messages": messages, "tools": _functions(found.tools)}


def swift(found: Trajectory) -> dict[str, Any]:
    """`messages` and `tools` as ms-swift's agent datasets have them."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": found.system}]
    for place, message in enumerate(found.history):
        match message:
            case User(text=text):
                messages.append({"role": "user", "content": text})
            case Assistant(text=text, tool_calls=calls):
                loss = found.learned(place)
                if text or not calls:
                    messages.append({"role": "assistant", "content": text, "loss": loss})
                for call in calls:
                    said = _call_text(call.name, call.arguments)
                    messages.append({"role": "tool_call", "content": said, "loss": loss})
            case Tool(result=result):
                messages.append({"role": "tool_response", "content": result.content})
    return {"messages": messages, "tools": json.dumps(_functions(found.tools), ensure_ascii=False)}


def sharegpt(found: Trajectory) -> dict[str, Any]:
    """`conversations` with function_call and observation."""
    said: list[dict[str, str]] = []
    for message in found.history:
        match message:
            case User(text=text):
                said.append({"from": "human", "value": text})
            case Assistant(text=text, tool_calls=calls):
                if text or not calls:
                    said.append({"from": "gpt", "value": text})
                said += [{"from": "function_call", "value": _call_text(c.name, c.arguments)} for c in calls]
            case Tool(result=result):
                said.append({"from": "observation", "value": result.content})
    tools = json.dumps([entry["function"] for entry in _functions(found.tools)], ensure_ascii=False)
    return {"system": found.system, "conversations": said, "tools": tools}


FORMATS: dict[str, Callable[[Trajectory], dict[str, Any]]] = {"openai": openai, "ms-swift": swift, "sharegpt": sharegpt}


def pairs(found: Sequence[Trajectory], form: Callable[[Trajectory], dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """For each task that was resolved and missed: the shortest accepted attempt, with each rejected one."""
    by_task: dict[str, list[Trajectory]] = {}
    for one in found:
        by_task.setdefault(one.attempt.instance_id, []).append(one)
    for name, tries in by_task.items():
        accepted = sorted((one for one in tries if one.reward), key=lambda one: one.attempt.usage.completion_tokens)
        for rejected in (one for one in tries if accepted and not one.reward):
            chosen, other = form(accepted[0]), form(rejected)
            key = "conversations" if "conversations" in chosen else "messages"
            yield {"instance_id": name, **chosen, f"rejected_{key}": other[key]}


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    top = argparse.ArgumentParser(
        prog="qcode-evals export", description=(__doc__ or "").split(": ", 1)[1].split("\n")[0]
    )
    top.add_argument("results", type=Path, metavar="DIR", help="output folder of a run of --agent qcode")
    top.add_argument("--format", choices=list(FORMATS), default="openai", help="(default: openai)")
    top.add_argument("--out", type=Path, required=True, metavar="FILE", help="one JSON object a line")
    top.add_argument("--resolved", action="store_true", help="only attempts that resolved their task")
    top.add_argument("--pairs", action="store_true", help="accepted and rejected attempts at one task (see --repeat)")
    return top


def main(argv: Sequence[str]) -> int:
    """Export. Raises: ConfigError."""
    args = parser().parse_args(argv)
    dropped: Counter[str] = Counter()
    found: list[Trajectory] = []
    for attempt in read_attempts(args.results):
        one = trajectory(args.results, attempt)
        if isinstance(one, str):
            dropped[one] += 1
        elif args.resolved and not one.reward:
            dropped["not resolved"] += 1
        else:
            found.append(one)
    form = FORMATS[args.format]
    lines = (
        list(pairs(found, form))
        if args.pairs
        else [
            {"instance_id": one.attempt.instance_id, "repeat": one.attempt.repeat, "reward": one.reward, **form(one)}
            for one in found
        ]
    )
    try:
        args.out.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {args.out}: {error.strerror}") from None
    left = "".join(f"; left out: {count} {why}" for why, count in dropped.most_common())
    print(f"{len(lines)} {'pairs' if args.pairs else 'trajectories'} in {args.out}{left}")
    return 0 if lines else 1
