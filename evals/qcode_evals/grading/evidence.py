"""What the tests' own process says of them, by a channel that only it can use: see witness.py.

The key is made for one grading and given when the tests start, after whatever the repository's build left behind was
killed. So no file, no other process and no printed line can be taken for the report; what it says is still compared
with the log and the exit code.
"""

import base64
import hashlib
import hmac
import json
import re
import secrets
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from qcode.messages import Frozen
from qcode_evals.parsers.logparse import PYTHON_PARSERS
from qcode_sandbox.protocol import Sandbox

_LARGEST = 30_000_000
"""Bytes of an unpacked report; a larger one is not read."""

_RUNNERS = {"parse_log_sympy": "sympy", "parse_log_django": "unittest"}

_UNITTEST = {
    "PASSED": "{0} ... ok",
    "FAILED": "{0} ... FAIL\nFAIL: {1}",
    "ERROR": "{0} ... ERROR\nERROR: {1}",
    "SKIPPED": "{0} ... skipped ''",
}
_SYMPY = {"PASSED": "{0} ok", "FAILED": "{0} F", "ERROR": "{0} E"}


@dataclass(frozen=True, slots=True)
class Seal:
    """Names and secrets of one grading. `token` marks lines and may be seen by the tests, `key` signs and may not."""

    token: str = field(default_factory=lambda: f"qcode-{secrets.token_hex(16)}")
    key: str = field(default_factory=lambda: secrets.token_hex(32))
    name: str = field(default_factory=lambda: f"qcode_{secrets.token_hex(8)}")

    @property
    def folder(self) -> str:
        """Where the witness lies until it is loaded."""
        return f"/tmp/{self.name}"


class Report(Frozen):
    """The witness's statement. `results` are (test, status) as they came."""

    runner: str
    results: tuple[tuple[str, str], ...]
    faults: tuple[str, ...]
    canaries: tuple[str, ...]
    exit_code: int | None

    @property
    def fault(self) -> str | None:
        """Why it cannot be believed although it is genuine, or None."""
        if self.faults:
            return self.faults[0]
        if self.runner == "pytest" and self.results:
            first, *later = self.canaries or ["not run"]
            # After the last test a module may not be set up once more; then it is not run, which is no success either.
            wrong = [said for said in later if said != "failed" and not said.startswith("not run")]
            if first != "failed" or wrong:
                return f"a test that must fail was {first if first != 'failed' else wrong[0]}"
        return None

    @property
    def lines(self) -> list[str]:
        """Its results as the runner writes them into its log."""
        return [self._line(test, status) for test, status in self.results]

    def _line(self, test: str, status: str) -> str:
        match self.runner:
            case "unittest":
                name, _, described = test.partition("\0")
                return _UNITTEST.get(status, "").format(described or name, name)
            case "sympy":
                return _SYMPY.get(status, "").format(test)
            case _:
                return f"{status} {test}"


def runner_of(parser: str) -> str:
    """Which test runner writes the logs of a parser, if a witness can watch it: pytest, unittest, sympy; else ""."""
    return _RUNNERS.get(parser, "pytest") if parser in PYTHON_PARSERS else ""


def _module(seal: Seal, runner: str) -> str:
    return seal.name if runner == "pytest" else "sitecustomize"


def lines(seal: Seal, parser: str) -> list[str]:
    """Lines of bash that have the next Python load the witness, before anything of the repository."""
    runner = runner_of(parser)
    if not runner:
        return []
    path = f"export PYTHONPATH={seal.folder}${{PYTHONPATH:+:$PYTHONPATH}}"
    plugin = f'export PYTEST_ADDOPTS="-p {_module(seal, runner)}${{PYTEST_ADDOPTS:+ $PYTEST_ADDOPTS}}"'
    return [path, plugin] if runner == "pytest" else [path]


async def send_witness(sandbox: Sandbox, seal: Seal, parser: str) -> None:
    """Put the witness into the box, its key last; where there is none, let the tests begin. Raises: SandboxError."""
    runner = runner_of(parser)
    if runner:
        text = files("qcode_evals.grading").joinpath("witness.py").read_bytes()
        await sandbox.write(f"{seal.folder}/{_module(seal, runner)}.py", text)
        await sandbox.write(f"{seal.folder}/runner", runner.encode())
    await sandbox.write(f"{seal.folder}/key", f"{seal.token} {seal.key}".encode() if runner else b"")


def _signed(lines: list[str], seal: Seal) -> Iterator[tuple[int, bytes]]:
    shape = re.compile(re.escape(f"{seal.token}-report ") + r"([0-9a-f]{64}) ([A-Za-z0-9+/=]+)")
    for index, line in enumerate(lines):
        found = shape.fullmatch(line.rstrip("\r"))
        if found and hmac.compare_digest(
            hmac.new(seal.key.encode(), found[2].encode(), hashlib.sha256).hexdigest(), found[1]
        ):
            yield index, found[2].encode()


def _unpacked(body: bytes) -> Any:
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(base64.b64decode(body), _LARGEST)
    if unpacker.unconsumed_tail:
        raise ValueError("too large")
    return json.loads(text)


def report_in(section: str, seal: Seal) -> tuple[str, Report | None]:
    """The log without the report, and the report; None unless there is exactly one that the key signed."""
    lines = section.split("\n")
    found = list(_signed(lines, seal))
    if len(found) != 1:
        return section, None
    index, body = found[0]
    # The empty line before it is the report's own.
    rest = lines[: index - (index > 0 and not lines[index - 1])] + lines[index + 1 :]
    try:
        return "\n".join(rest), Report.model_validate(_unpacked(body))
    except (ValueError, RecursionError, zlib.error):
        return section, None
