"""The definitions and references of all source files of a repository, brought up to date when asked for."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from qcode_sandbox.protocol import Sandbox
from qcode_tools.parsing.languages import language_of
from qcode_tools.parsing.parser import Tags, shared_parser
from qcode_tools.symbols.cache import Key, TagsCache
from qcode_tools.symbols.sources import blob_hash, contents, hashes, source_files

SECONDS = 20.0
"""How long texts are parsed for one answer; the rest follows when it is asked for again."""


@dataclass(frozen=True, slots=True)
class Index:
    """What each file defines and refers to. `missing` files were too many, or there was no time for them yet."""

    files: dict[str, Tags]
    missing: int


class Indexer:
    """Keeps what it found, in memory for this session and on the disk for others."""

    def __init__(self, cache_path: Path | None) -> None:
        self._cache = TagsCache(cache_path)
        self._known: dict[Key, Tags] = {}
        self._lock = asyncio.Lock()

    async def index(self, sandbox: Sandbox) -> Index:
        """The index of the files as they are now. Raises: ToolError, SandboxError."""
        async with self._lock:
            sizes, left_out = await source_files(sandbox)
            keys = {name: (str(language_of(name)), sha) for name, sha in (await hashes(sandbox, list(sizes))).items()}
            unknown = set(keys.values()) - self._known.keys()
            if unknown:
                self._known.update(await asyncio.to_thread(self._cache.get, unknown))
            wanted = {name: sizes[name] for name, key in keys.items() if key not in self._known}
            if wanted:
                await self._parse(sandbox, wanted)
            self._known = {key: self._known[key] for key in keys.values() if key in self._known}
            found = {name: self._known[key] for name, key in keys.items() if key in self._known}
            return Index(found, left_out + len(keys) - len(found))

    async def _parse(self, sandbox: Sandbox, wanted: dict[str, int]) -> None:
        until = time.monotonic() + SECONDS
        async for texts in contents(sandbox, wanted):
            found = await asyncio.to_thread(_tags_of, texts, until)
            self._known.update(found)
            await asyncio.to_thread(self._cache.put, found)
            if time.monotonic() > until:
                break


def _tags_of(texts: dict[str, bytes], until: float) -> dict[Key, Tags]:
    found: dict[Key, Tags] = {}
    for name, data in texts.items():
        language = language_of(name)
        if language is None or time.monotonic() > until:
            continue
        # A text that cannot be parsed is not tried again and again.
        found[language, blob_hash(data)] = shared_parser().tags_now(language, data) or Tags((), {})
    return found
