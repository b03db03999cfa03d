"""`qcode parse-tool-calls`: what qcode reads in a model's answer, as JSON."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qcode.codec import CodecEvent, Parsed

_PIECE = 65_536

_EXAMPLES = """\
examples:
  qcode parse-tool-calls < answer.txt
  qcode parse-tool-calls --tools tools.json < answer.txt
  qcode parse-tool-calls --tools request.json --dialect hermes < answer.txt
  curl -sN … | jq -j --unbuffered .text | qcode parse-tool-calls --stream

The tools say which calls are meant and how their arguments are typed: a JSON array of tools in OpenAI's form, or an
object that holds one as "tools", such as a request. Without them every argument is text, and only calls in the exact
form, at the beginning of a line, are read.

The object that is printed: content, thinking, tool_calls (name, arguments), truncated, problems (kind, and a text for
the model), recoveries (kind and how often). With --stream, one object per event as soon as it is certain, and it last.

exit codes: 0 read, whatever the answer holds · 2 wrong usage, or no text"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "parse-tool-calls",
        help="read a model's answer from standard input and print its calls as JSON",
        description="Read a model's answer from standard input, well-formed or not, and print it as JSON.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tools", type=Path, metavar="FILE", help="the tools that the model was given")
    parser.add_argument(
        "--dialect", choices=["qwen3_coder", "hermes"], default="qwen3_coder", help="default: qwen3_coder"
    )
    parser.add_argument(
        "--thinking",
        choices=["text", "in_tags", "begun"],
        help="<think>…</think> is text, or apart from it, or was begun by the prompt (default: as the dialect has it)",
    )
    parser.add_argument("--stream", action="store_true", help="print events while the text comes")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from qcode.codec import StreamParser

    tools = _tools(args.tools) if args.tools else []
    if sys.stdin is None or sys.stdin.isatty():
        from qcode.errors import ConfigError

        raise ConfigError("no answer on standard input: pipe one in, as in qcode parse-tool-calls < answer.txt")
    parser = StreamParser(tools, dialect=args.dialect, thinking=args.thinking)
    for piece in _pieces():
        events = parser.feed(piece)
        if args.stream:
            _print_events(events)
    events = parser.finish()
    if args.stream:
        _print_events(events)
    _print(
        ({"event": "message"} if args.stream else {}) | _as_object(parser.result()), indent=None if args.stream else 2
    )
    return 0


def _tools(path: Path) -> list[dict[str, Any]]:
    """Raises: ConfigError."""
    import json

    from qcode.errors import ConfigError

    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read the tools {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the tools in {path} are not JSON: {error}") from None
    tools = found.get("tools") if isinstance(found, dict) else found
    if not isinstance(tools, list):
        raise ConfigError(f'{path} holds no tools: give a JSON array of them, or an object with "tools"')
    for number, tool in enumerate(tools, start=1):
        inner = tool.get("function", tool) if isinstance(tool, dict) else None
        if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
            raise ConfigError(f"tool {number} in {path} has no name")
    return tools


def _pieces() -> Iterator[str]:
    """Standard input as it comes, its line breaks as they are. Raises: ConfigError."""
    import codecs
    import os

    from qcode.errors import ConfigError

    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while data := os.read(sys.stdin.fileno(), _PIECE):
            yield decoder.decode(data)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise ConfigError("the answer on standard input is not UTF-8 text") from None


def _print_events(events: "list[CodecEvent]") -> None:
    from dataclasses import asdict

    for event in events:
        _print({"event": type(event).__name__, **asdict(event)}, indent=None)


def _as_object(parsed: "Parsed") -> dict[str, Any]:
    from collections import Counter
    from dataclasses import asdict

    return {**asdict(parsed), "recoveries": Counter(parsed.recoveries)}


def _print(value: dict[str, Any], *, indent: int | None) -> None:
    """As ASCII: a model's control characters do not reach the terminal."""
    import json

    print(json.dumps(value, indent=indent), flush=True)
