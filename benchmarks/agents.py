"""Does each other agent still install, and work to the end in an instance's box? With a server in place of the model.

The server reads how an agent wants to be answered (tool calls, a fenced command, a whole file), gives it the right
change first, and then says that it is done. So this says nothing of how good an agent is: for that see
docs/evaluation.md. Fails when a task is not solved, or when the server's count of tokens is not the attempt's.
"""

import argparse
import json
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[1] / "tests" / "evals" / "data" / "instances.jsonl"
TASK = "quixbugs__gcd"
BEFORE, AFTER = "return gcd(a % b, b)", "return gcd(b, a % b)"
COMMAND = (  # not with sed: Qwen Code refuses it for a file that it has not read
    "python3 -c \"p = 'python_programs/gcd.py'; s = open(p).read(); "
    f"open(p, 'w').write(s.replace('{BEFORE}', '{AFTER}'))\""
)
WHOLE = f"def gcd(a, b):\n    if b == 0:\n        return a\n    else:\n        {AFTER}\n"
BLOCK = f"python_programs/gcd.py\n```python\n{WHOLE}```\n"
USAGE = {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050}


def message(asked: dict[str, Any]) -> dict[str, Any]:
    """The next answer in the form that the request asks for."""
    said = json.dumps(asked.get("messages") or [])
    functions = [tool["function"] for tool in asked.get("tools") or []]
    for function in sorted(functions, key=lambda one: not any(word in one["name"] for word in ("shell", "bash"))):
        schema = function.get("parameters") or {}
        wanted = schema.get("properties") or {}
        if "command" in wanted and AFTER not in said:
            arguments = {name: _value(name, wanted[name]) for name in (schema.get("required") or ["command"])}
            call = {"name": function["name"], "arguments": json.dumps({"command": COMMAND} | arguments)}
            return {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": call}],
            }
    if asked.get("tools"):
        return {"role": "assistant", "content": "Done."}
    if "mswea_bash_command" in said:
        command = COMMAND if AFTER not in said else "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"
        return {"role": "assistant", "content": f"THOUGHT: next.\n\n```mswea_bash_command\n{command}\n```\n"}
    return {"role": "assistant", "content": BLOCK if AFTER not in said else "Done."}


def _value(name: str, schema: dict[str, Any]) -> Any:
    if name == "command":
        return COMMAND
    return {"boolean": False, "integer": 1, "number": 1}.get(str(schema.get("type")), "change")


class Model(BaseHTTPRequestHandler):
    """As much of an OpenAI-compatible server as these agents ask."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._say(json.dumps({"object": "list", "data": [{"id": "scripted", "object": "model"}]}), "application/json")

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = message(asked)
        reason = "tool_calls" if answer.get("tool_calls") else "stop"
        head = {"id": "a", "created": 1, "model": "scripted"}
        if not asked.get("stream"):
            choice = {"index": 0, "message": answer, "finish_reason": reason}
            body = head | {"object": "chat.completion", "choices": [choice], "usage": USAGE}
            self._say(json.dumps(body), "application/json")
            return
        calls = [call | {"index": place} for place, call in enumerate(answer.get("tool_calls", []))]
        delta = {key: value for key, value in answer.items() if key != "tool_calls"} | (
            {"tool_calls": calls} if calls else {}
        )
        chunks = [
            {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
            {"choices": [], "usage": USAGE},
        ]
        lines = [json.dumps(head | {"object": "chat.completion.chunk"} | chunk) for chunk in chunks]
        self._say("".join(f"data: {line}\n\n" for line in [*lines, "[DONE]"]), "text/event-stream")

    def _say(self, text: str, kind: str) -> None:
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def solved(agent: str, url: str, folder: Path) -> str:
    """One line of the table. Raises: SystemExit when it did not solve the task."""
    from qcode_evals.cli import main

    out = folder / agent
    arguments = ["--dataset", str(DATA), "--instance", TASK, "--agent", agent, "--base-url", url, "--out", str(out)]
    code = main([*arguments, "--max-turns", "12", "--max-seconds", "900", "--expect-resolved", "all"])
    (line,) = (out / "attempts.jsonl").read_text(encoding="utf-8").splitlines()
    attempt = json.loads(line)
    told = attempt["usage"]["prompt_tokens"] == USAGE["prompt_tokens"] * attempt["usage"]["requests"] > 0
    if code or not told:
        log = out / "logs" / TASK / "agent.log"
        said = log.read_text(encoding="utf-8", errors="replace")[-2000:] if log.is_file() else ""
        raise SystemExit(f"{agent}: {attempt['outcome']}: {attempt['reason']}\n{attempt['usage']}\n{said}")
    return f"| {agent} | {attempt['outcome']} | {attempt['usage']['requests']} | {attempt['seconds']['agent']:.1f} |"


def main() -> None:
    from qcode_evals.agents.command.definition import shipped

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", type=int, metavar="PORT", help="only serve, on the loopback interface")
    parser.add_argument("agents", nargs="*", metavar="AGENT", help="(default: all that are shipped)")
    args = parser.parse_args()
    if args.serve is not None:
        with ThreadingHTTPServer(("127.0.0.1", args.serve), Model) as server:
            print(f"http://127.0.0.1:{server.server_port}/v1", flush=True)
            server.serve_forever()
    lines = ["| agent | outcome | requests | s |", "| --- | --- | --- | --- |"]
    with ThreadingHTTPServer(("127.0.0.1", 0), Model) as server, tempfile.TemporaryDirectory() as name:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for agent in args.agents or shipped():
            lines.append(solved(agent, f"http://127.0.0.1:{server.server_port}/v1", Path(name)))
            print(lines[-1], file=sys.stderr, flush=True)
        server.shutdown()
    print("\n".join(lines))


if __name__ == "__main__":
    main()
