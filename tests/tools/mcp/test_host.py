"""A server on this machine: what it says last is known as soon as it has gone."""

import os

from waiting import mark

from qcode_tools.mcp.host import host_pipe
from qcode_tools.mcp.settings import ServerSettings


async def test_its_last_words_are_there_when_its_output_ends_also_where_a_child_keeps_the_pipe_open() -> None:
    script = f"sleep {mark()} </dev/null >/dev/null & echo out; echo first >&2; echo the last words >&2; exit 3"
    settings = ServerSettings(command="bash", args=["-c", script], sandbox=False)
    async with host_pipe(settings, os.environ) as pipe:
        came = b""
        while more := await pipe.read():
            came += more
        assert came == b"out\n"
        assert await pipe.said() == "first\nthe last words"
    assert await pipe.said() == "first\nthe last words", "and stays known"


async def test_of_a_flood_only_the_end_is_kept() -> None:
    script = "head -c 3000000 /dev/zero | tr '\\0' e >&2; echo done >&2; echo out"
    settings = ServerSettings(command="bash", args=["-c", script], sandbox=False)
    async with host_pipe(settings, os.environ) as pipe:
        while await pipe.read():
            pass
        said = await pipe.said()
        assert said.endswith("edone")
        assert len(said) < 4_001
