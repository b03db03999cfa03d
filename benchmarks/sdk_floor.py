"""The floor: the same loop on the openai SDK, without tools of one's own, log, sandbox or anything else."""

import asyncio
import json
import subprocess
import sys

from openai import AsyncOpenAI

TOOL = {"type": "function", "function": {"name": "bash", "parameters": {"type": "object", "properties": {}}}}


async def main() -> None:
    client = AsyncOpenAI(api_key="x", base_url=sys.argv[1])
    messages: list[dict[str, object]] = [{"role": "user", "content": "go"}]
    while True:
        text, calls = "", []
        async for chunk in await client.chat.completions.create(
            model="bench", messages=messages, tools=[TOOL], stream=True
        ):
            for choice in chunk.choices:
                text += choice.delta.content or ""
                calls += choice.delta.tool_calls or []
        messages.append({"role": "assistant", "content": text, "tool_calls": [call.model_dump() for call in calls]})
        if not calls:
            return
        for call in calls:
            command = json.loads(call.function.arguments)["command"]
            process = await asyncio.create_subprocess_shell(command, stdout=subprocess.PIPE)
            output, _ = await process.communicate()
            messages.append({"role": "tool", "tool_call_id": call.id, "content": output.decode()})


asyncio.run(main())
