"""A proxy in front of a real server that has one fault, as proxies, gateways and wrong settings have them.

`python -P tests/support/fault_proxy.py UPSTREAM FAULT` prints the base URL to use in place of UPSTREAM. Faults:
truncate   keeps only the end of each long message, as a server does whose window is small and who says nothing
hold       sends a streamed answer in one piece when it is complete
whole      asks for an answer that is not streamed, whatever the client asked for
forget     has the server read every prompt anew
slow       waits before it passes a request on
deaf       does not notice that the client hung up
swallow    drops what the model writes from its first tag on, as a parser for another form does
"""

import argparse
import asyncio
import contextlib
import json
from typing import Any
from urllib.parse import urlsplit

KEPT = 400
"""Characters that `truncate` leaves of a message."""

SLOW_S = 6.0


class FaultProxy:
    """`async with FaultProxy(upstream, fault) as url`."""

    def __init__(self, upstream: str, fault: str) -> None:
        parts = urlsplit(upstream)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._fault = fault
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._exchange(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if head[0].split()[1].endswith("/chat/completions"):
            body = json.dumps(self._changed(json.loads(body))).encode()
            if self._fault == "slow":
                await asyncio.sleep(SLOW_S)
        headers |= {"content-length": str(len(body)), "connection": "close", "host": f"{self._host}:{self._port}"}
        upstream, sink = await asyncio.open_connection(self._host, self._port)
        try:
            lines = [head[0], *(f"{key}: {value}" for key, value in headers.items()), "", ""]
            sink.write("\r\n".join(lines).encode("latin-1") + body)
            await sink.drain()
            await self._pass_back(upstream, reader, writer)
        finally:
            sink.close()

    async def _pass_back(
        self, upstream: asyncio.StreamReader, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        async def pump() -> None:
            held = bytearray()
            while data := await upstream.read(65_536):
                if self._fault in {"hold", "swallow"}:
                    held += data
                    continue
                with contextlib.suppress(OSError):
                    writer.write(data)
                    await writer.drain()
            if held:
                streamed = b"text/event-stream" in held.partition(b"\r\n\r\n")[0]
                swallowed = self._fault == "swallow" and streamed
                writer.write(_without_calls(bytes(held)) if swallowed else bytes(held))
                await writer.drain()

        pumping = asyncio.ensure_future(pump())
        hung_up = asyncio.ensure_future(reader.read())
        await asyncio.wait([pumping] if self._fault == "deaf" else [pumping, hung_up], return_when="FIRST_COMPLETED")
        for task in (pumping, hung_up):
            task.cancel()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await task

    def _changed(self, body: dict[str, Any]) -> dict[str, Any]:
        match self._fault:
            case "truncate":
                for message in body["messages"]:
                    message["content"] = (message.get("content") or "")[-KEPT:]
            case "whole":
                body["stream"] = False
            case "forget":
                body["cache_prompt"] = False
        return body


def _without_calls(answer: bytes) -> bytes:
    """The events of a stream, chunked anew, without the text that follows the first tag."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    text, swallowing, kept = rest.decode("utf-8", "replace"), False, []
    for line in text.split("\n"):
        if not line.startswith("data: {"):
            continue
        event = json.loads(line.removeprefix("data: "))
        delta = event["choices"][0].get("delta", {}) if event.get("choices") else {}
        swallowing = swallowing or "<" in (delta.get("content") or "")
        if swallowing and "content" in delta:
            delta["content"] = ""
        kept.append(f"data: {json.dumps(event)}\n\n")
    body = "".join([*kept, "data: [DONE]\n\n"]).encode()
    return head + b"\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


async def _serve(upstream: str, fault: str) -> None:
    async with FaultProxy(upstream, fault) as url:
        print(url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A proxy with one fault in front of a real server.")
    parser.add_argument("upstream", help="base URL, such as http://127.0.0.1:8080/v1")
    parser.add_argument("fault", choices=["truncate", "hold", "whole", "forget", "slow", "deaf", "swallow"])
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(options.upstream, options.fault))
