"""Runs a command in a network of its own and says what it tried to reach. Started by `unshare --net python lonely.py`.

Everything that is not this machine is routed into a tunnel whose other end is this program; on the loopback every new
connection is seen. Two servers of a model listen at 127.0.0.1, and give the answers in order. {port} and {other} in the
command and its input are theirs.
"""

import fcntl
import http.server
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time

TUNSETIFF, IFF_TUN_NO_PI = 0x400454CA, 0x1001
SYN, ACK = 0x02, 0x10
LAST_ADDRESS, LAST_PORT = "198.18.255.1", 47
"""Where only this program sends to."""


class World:
    """What was seen: packets to elsewhere by their destination, and ports of this machine that were connected to."""

    def __init__(self) -> None:
        self.left: set[str] = set()
        self.ports: set[int] = set()
        run("ip link set lo up")
        self._tunnel = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(self._tunnel, TUNSETIFF, struct.pack("16sH", b"away", IFF_TUN_NO_PI))
        run("ip addr add 198.18.0.1/32 dev away")
        run("ip link set away up")
        run("ip route add default dev away")
        self._loopback = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self._loopback.bind(("lo", 0))
        threading.Thread(target=self._watch_tunnel, daemon=True).start()
        threading.Thread(target=self._watch_loopback, daemon=True).start()

    def _watch_tunnel(self) -> None:
        while packet := os.read(self._tunnel, 65536):
            if packet[0] >> 4 == 4:
                self.left.add(socket.inet_ntoa(packet[16:20]))
            elif packet[6] != 58:
                # ICMPv6 is the kernel's own, looking for neighbours.
                self.left.add(socket.inet_ntop(socket.AF_INET6, packet[24:40]))

    def _watch_loopback(self) -> None:
        while True:
            packet = self._loopback.recv(65536)[14:]
            start = 40 if packet[0] >> 4 == 6 else (packet[0] & 15) * 4
            protocol = packet[6] if packet[0] >> 4 == 6 else packet[9]
            flags = packet[start + 13] if protocol == socket.IPPROTO_TCP else SYN
            if flags & SYN and not flags & ACK and protocol in {socket.IPPROTO_TCP, socket.IPPROTO_UDP}:
                self.ports.add(int.from_bytes(packet[start + 2 : start + 4], "big"))

    def settle(self) -> None:
        """Wait until all that was sent is seen: packets of our own come behind it."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"x", (LAST_ADDRESS, 9))
            last.sendto(b"x", ("127.0.0.1", LAST_PORT))
        while LAST_ADDRESS not in self.left or LAST_PORT not in self.ports:
            time.sleep(0.01)
        self.left.remove(LAST_ADDRESS)
        self.ports.remove(LAST_PORT)


def run(command: str) -> None:
    subprocess.run(command.split(), check=True)


def model(answers: list[str]) -> int:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send({"object": "list", "data": [{"id": "m", "object": "model", "max_model_len": 65536}]})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            if not self.path.endswith("/chat/completions"):
                self._send({"error": {"message": "not here"}}, 404)
                return
            delta = {"role": "assistant", "content": answers.pop(0)}
            base = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
            usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
            chunks = [
                base | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
                base | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
                base | {"choices": [], "usage": usage},
            ]
            body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
            self._send(body.encode(), kind="text/event-stream")

        def _send(self, body: object, code: int = 200, kind: str = "application/json") -> None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def main() -> None:
    asked = json.loads(sys.argv[1])
    world = World()
    port, other = model(asked["answers"]), model(asked["answers"])

    def named(words: str) -> str:
        return words.replace("{port}", str(port)).replace("{other}", str(other))

    command = [named(word) for word in asked["command"]]
    said = named(asked["input"])
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=asked["timeout_s"], input=said)
    world.settle()
    seen = {"left": sorted(world.left), "ports": sorted(world.ports), "port": port, "other": other}
    print(json.dumps({"code": done.returncode, "stdout": done.stdout, "stderr": done.stderr, **seen}))


if __name__ == "__main__":
    main()
