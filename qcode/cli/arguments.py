"""Arguments that several commands have."""

import argparse
import math
from collections.abc import Callable


def add_model(parser: argparse.ArgumentParser) -> None:
    """Which model, and how it is asked."""
    model = parser.add_argument_group("the model")
    model.add_argument(
        "--model",
        metavar="NAME",
        help="a name of `qcode models list`, a .gguf file, scripted:FILE, or with --base-url the server's name for it "
        "(default: $QCODE_MODEL, else the best that is pulled, else what a server on this machine has)",
    )
    model.add_argument(
        "--base-url",
        metavar="URL",
        help="an OpenAI-compatible server, such as http://127.0.0.1:8000/v1 (default: $QCODE_BASE_URL); its key is "
        "taken from $QCODE_API_KEY",
    )
    model.add_argument("--engine", choices=["vllm", "sglang", "llama-server"], help="start a server of the model, or "
                       "join the one that runs; see `qcode serve --help`")  # fmt: skip
    model.add_argument("--tools", choices=["swe", "small", "qwen-code", "minimal"], metavar="SET",
                       help="swe, small, qwen-code or minimal (default: what suits the model)")  # fmt: skip
    model.add_argument("--context", type=positive, metavar="N", help="window in tokens, of the in-process engine or "
                       "asked of Ollama")  # fmt: skip
    model.add_argument("--small-context", action="store_true", help="work also with a server whose window is below "
                       "16k tokens")  # fmt: skip
    thinking = model.add_mutually_exclusive_group()
    thinking.add_argument("--think", action="store_true", default=None, help="let a model that can do both think "
                          "before it answers (also: /think in the task)")  # fmt: skip
    thinking.add_argument("--no-think", action="store_false", dest="think", default=None, help="… or not (/no_think)")
    model.add_argument("--thinking-budget", type=positive, metavar="N", help="tokens that it may think at most")
    model.add_argument("--temperature", type=between(0, 5), metavar="T", help="instead of the model's recommended one")
    model.add_argument("--seed", type=int, metavar="N", help="make sampling repeatable")
    model.add_argument("--dialect", choices=["qwen3_coder", "hermes"], help="form of the model's tool calls (default: "
                       "what the registry says of it)")  # fmt: skip
    model.add_argument("--no-constrain", action="store_true", help="let the engine write malformed calls too")


def add_sandbox(parser: argparse.ArgumentParser) -> None:
    """Where commands run."""
    box = parser.add_argument_group("the sandbox")
    box.add_argument(
        "--sandbox",
        choices=["auto", "docker", "bubblewrap", "none"],
        help="auto: Docker if an engine answers, else bubblewrap; none: commands run on this machine as you, on a copy "
        "of the repository (default: auto)",
    )
    box.add_argument(
        "--image",
        metavar="NAME|FILE",
        help="container image with bash and git, a Dockerfile or a devcontainer.json (default: made by qcode); for "
        "bubblewrap the folder of a system's tree (default: this machine's /usr)",
    )
    box.add_argument(
        "--build-network",
        action="store_true",
        help="let the steps of a Dockerfile reach the network, with this machine's certificates, proxies and settings "
        "of pip; what is built then runs without",
    )
    box.add_argument(
        "--network",
        metavar="HOST[,…]",
        help="what commands reach, by a proxy that refuses all else: HOST, HOST:PORT, *.HOST, indexes (those that pip "
        "on this machine is set to), or none (default: none)",
    )


def add_rules(group: "argparse._ArgumentGroup") -> None:
    """What may be done unasked, and what never."""
    group.add_argument("--allow", action="append", metavar="RULE", help="may run without a question, such as "
                       "'shell(npm test *)' or 'edit(src/**)'; can be given several times")  # fmt: skip
    group.add_argument("--deny", action="append", metavar="RULE", help="never runs, such as 'shell(git push *)'")


def add_limits(parser: argparse.ArgumentParser) -> None:
    """How long."""
    limits = parser.add_argument_group("limits")
    limits.add_argument("--max-turns", type=positive, metavar="N", help="answers of the model (default: 50)")
    limits.add_argument("--max-tokens", type=positive, metavar="N", help="tokens evaluated (not cached) and written")
    limits.add_argument("--max-seconds", type=seconds, metavar="S", help="wall time")


def add_configuration(parser: argparse.ArgumentParser) -> None:
    """Where settings come from."""
    words = "Most of the above can be set for good: see `qcode config --help`."
    own = parser.add_argument_group("configuration", words)
    own.add_argument("--trust", action="store_true", help="read what this repository has as configuration (.qcode, "
                     "AGENTS.md), as it is now, in this and later sessions")  # fmt: skip
    own.add_argument("--offline", action="store_true", help="open no connection but the model's")


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or (number := int(text)) <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return number


def between(least: float, most: float = math.inf) -> Callable[[str], float]:
    """Reads a number in these bounds, which float alone would not keep: "nan" is a float, and so is "-inf"."""

    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (least <= value <= most and math.isfinite(value)):
            bounds = f"from {least:g} to {most:g}" if math.isfinite(most) else f"of {least:g} or more"
            raise argparse.ArgumentTypeError(f"{text!r} is no number {bounds}")
        return value

    return number


def port(text: str) -> int:
    """One that a server can listen on; some more above it are left for its parts."""
    if not 0 < (number := int(text)) <= 65_000:
        raise argparse.ArgumentTypeError("must be from 1 to 65000")
    return number


def seconds(text: str) -> float:
    """A time."""
    if not 0 < (number := float(text)) < float("inf"):
        raise argparse.ArgumentTypeError("must be above 0")
    return number
