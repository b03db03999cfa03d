"""What the first request costs before a word of the task: system prompt, tools, and what the template writes around."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from qcode.messages import User
from qcode.model import Request

BYTES_A_TOKEN = 4
"""Of English and code, for an estimate where there is no tokenizer."""

Count = Callable[[Request], Awaitable[int | None]]


@dataclass(frozen=True, slots=True)
class Bill:
    """Tokens; the parts add up to `total`. `exact` is False where they are estimated from the text's length."""

    system: int
    tools: dict[str, int]
    task: int
    template: int
    exact: bool

    @property
    def total(self) -> int:
        return self.system + sum(self.tools.values()) + self.task + self.template


async def first_request(request: Request, count: Count) -> Bill:
    """Count the parts of a request, each by what the prompt loses without it. Raises: BackendError."""
    total = await count(request)
    if total is None:
        estimated = await first_request(request, _estimate)
        return replace(estimated, exact=False)
    bare = replace(request, tools=())

    async def lost(without: Request, whole: int = total) -> int:
        return whole - (await count(without) or 0)

    untold = await count(bare) or 0
    system = await lost(replace(bare, system=""), untold)
    task = await lost(replace(bare, history=(User(text=""),)), untold)
    tools = {
        tool.name: await lost(replace(request, tools=tuple(each for each in request.tools if each is not tool)))
        for tool in (request.tools if len(request.tools) > 1 else ())
    }
    if len(request.tools) == 1:
        tools = {request.tools[0].name: total - untold}
    return Bill(system, tools, task, total - system - task - sum(tools.values()), True)


async def _estimate(request: Request) -> int:
    from qcode.codec import render

    return -(-len(render(request.system, request.history, request.tools).encode()) // BYTES_A_TOKEN)
