"""Opening and closing a sandbox."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from qcode_sandbox import baseline, programs
from qcode_sandbox.box import Box
from qcode_sandbox.cleanup import to_the_end
from qcode_sandbox.engine import Engine
from qcode_sandbox.errors import SandboxError
from qcode_sandbox.folder import reap_stale
from qcode_sandbox.gate import Gate
from qcode_sandbox.outlet import outlet, ready
from qcode_sandbox.output import Output
from qcode_sandbox.protocol import OUTPUT_LIMIT, Sandbox
from qcode_sandbox.scratch import sweep
from qcode_sandbox.service import Service
from qcode_sandbox.source import archive
from qcode_sandbox.specs import Bind, BubblewrapSpec, DockerSpec, HostSpec, SandboxSpec, Source

_FILL_TIMEOUT_S = 600.0
_HOST_DISK_MB = 20_000


@asynccontextmanager
async def open_sandbox(spec: SandboxSpec) -> AsyncIterator[Sandbox]:
    """A sandbox, ready, and gone when the context is left, however it is left. Raises: SandboxError."""
    await asyncio.to_thread(reap_stale)
    await asyncio.to_thread(sweep, Path(tempfile.gettempdir()))
    match spec:
        case HostSpec():
            from qcode_sandbox.host_engine import HostEngine

            host = HostEngine(spec)
            try:
                async with _box(host, spec.source, disk_mb=_HOST_DISK_MB) as box:
                    yield box
            finally:
                await to_the_end(host.close())
        case BubblewrapSpec():
            from qcode_sandbox.bwrap_engine import open_namespaces

            async with outlet(spec.gate) as way_out, open_namespaces(spec, way_out) as namespaces:  # noqa: SIM117
                async with _box(namespaces, spec.source, disk_mb=spec.disk_mb, gate=spec.gate) as box:
                    yield box
        case DockerSpec():
            from qcode_sandbox.docker_engine import open_container

            async with outlet(spec.gate) as way_out, open_container(spec, way_out) as container:  # noqa: SIM117
                async with _box(container, spec.source, disk_mb=spec.disk_mb, gate=spec.gate) as box:
                    yield box


@asynccontextmanager
async def _box(
    engine: Engine, source: Source | Bind | None, *, disk_mb: int, gate: Gate | Service | None = None
) -> AsyncIterator[Box]:
    box = Box(engine, gate if isinstance(gate, Gate) else None)
    try:
        await _prepare(box, engine, source, disk_mb * 1_000_000)
        if gate is not None:
            await _work(box, ready())
        yield box
    finally:
        await to_the_end(box.close())


async def _prepare(box: Box, engine: Engine, source: Source | Bind | None, limit: int) -> None:
    shell = asyncio.ensure_future(box.open_shell())
    try:
        if isinstance(source, Source):
            await _copy_in(box, source, limit)
        await _remember_tree(box, engine, source)
        await shell
    finally:
        shell.cancel()
        await asyncio.wait({shell})


async def _copy_in(box: Box, source: Source, limit: int) -> None:
    packing = asyncio.ensure_future(asyncio.to_thread(archive, source, limit=limit))
    try:
        file, size = await asyncio.shield(packing)
    except asyncio.CancelledError:
        with contextlib.suppress(SandboxError):
            (await to_the_end(packing))[0].close()
        raise
    with file:
        output = Output(OUTPUT_LIMIT)
        result = await box.run(
            programs.unpack(box.workdir, size),
            timeout_s=_FILL_TIMEOUT_S,
            output=output,
            payload=file,
            payload_size=size,
            takes_all=False,
        )
    if result.exit_code:
        raise SandboxError(f"the repository could not be copied into the sandbox: {_last_line(output)}")


async def _remember_tree(box: Box, engine: Engine, source: Source | Bind | None) -> None:
    made = f"{engine.scratch}/made"
    await _work(box, baseline.make(workdir=box.workdir, repository=made, whole_tree=isinstance(source, Source)))
    await engine.protect(made)
    if isinstance(source, Bind):
        await _work(box, baseline.drop(made))
        await _work(box, programs.remove_unfinished(box.workdir))
    else:
        await _work(box, baseline.adopt(workdir=box.workdir, repository=made))


async def _work(box: Box, program: str) -> None:
    output = Output(OUTPUT_LIMIT)
    result = await box.run(program, timeout_s=_FILL_TIMEOUT_S, output=output)
    if result.exit_code:
        raise SandboxError(f"the sandbox could not be set up: {_last_line(output)}")


def _last_line(output: Output) -> str:
    return output.text().strip().rsplit("\n", 1)[-1][-500:] or "no reason given"
