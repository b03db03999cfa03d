"""`qcode serve`: start a model's server on this machine, and look after those that run."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from qcode.cli.arguments import port, positive

if TYPE_CHECKING:
    from qcode.serving.plan import Wish
    from qcode.serving.profiles import Speculation
    from qcode.serving.state import Record, ServerFolder

ACTIONS = ("status", "stop", "logs")
USAGE = """qcode serve [MODEL] [options]
       qcode serve status|stop|logs [NAME] [options]"""
EXAMPLES = """\
examples:
  qcode serve qwen3-coder-30b-a3b                  start it, wait until it answers; it stays until it is stopped
  qcode serve qwen3-coder-next --dry-run           the command, with a reason for each flag, and the memory it needs
  qcode serve qwen3-coder-480b-a35b --machine 8x141 --dry-run        the same for another machine
  qcode serve qwen3-coder-30b-a3b --engine vllm --replicas 4         four of them behind vLLM's router, for evals
  qcode run --model qwen3-coder-30b-a3b --engine vllm --task issue.md       start or join it for one task

model, engine, context and offline are also taken from your configuration (`qcode config --help`).
What runs is kept up: after a crash it is started again, after running out of memory with a smaller window. The same
model and engine run once for all sessions; docs/serving.md tells more.
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's arguments."""
    serve = commands.add_parser(
        "serve",
        help="start a model's server, keep it up, stop it",
        usage=USAGE,
        description="Start a server for a model with vLLM, SGLang or llama.cpp, with what suits this machine.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    serve.add_argument(
        "model", nargs="?", metavar="MODEL",
        help="a name of `qcode models list`, or a .gguf file (default: $QCODE_MODEL, else the best that fits); or "
        "status, stop, logs",
    )  # fmt: skip
    serve.add_argument("name", nargs="?", metavar="NAME", help="the server to stop or to read (default: the only one)")
    serve.add_argument("--json", action="store_true", help="for programs")
    engine = serve.add_argument_group("the engine")
    engine.add_argument("--engine", choices=["vllm", "sglang", "llama-server"], help="default: what is installed and "
                        "suits the model")  # fmt: skip
    engine.add_argument("--python", type=Path, metavar="FILE", help="interpreter of the environment that has the "
                        "engine (default: $QCODE_VLLM_PYTHON or $QCODE_SGLANG_PYTHON, else what is found)")  # fmt: skip
    engine.add_argument("--port", type=port, metavar="N", help="default: the engine's own, or the next free one")
    engine.add_argument("--flag", action="append", default=[], metavar="NAME[=VALUE]", help="one more flag for the "
                        "engine, such as max-num-seqs=8; can be repeated")  # fmt: skip
    model = serve.add_argument_group("the model")
    model.add_argument("--context", type=positive, metavar="N", help="window in tokens; beyond the native one by YaRN")
    model.add_argument("--quantization", choices=["bf16", "fp8"], help="default: the first that fits")
    model.add_argument("--hub", choices=["huggingface", "modelscope"], default="huggingface", help="where the engine "
                       "gets the weights (default: huggingface)")  # fmt: skip
    model.add_argument("--weights", type=Path, metavar="PATH", help="a folder of safetensors or a .gguf file on this "
                       "disk")  # fmt: skip
    model.add_argument("--speculation", choices=["auto", "off", "mtp", "ngram"], default="auto", help="mtp where the "
                       "model has it; ngram for work that edits much")  # fmt: skip
    model.add_argument("--slots", type=positive, metavar="N", help="answers at the same time (llama-server)")
    more = serve.add_argument_group("more than one")
    more.add_argument("--nodes", type=positive, default=1, metavar="N", help="machines that are one server, each with "
                      "the GPUs of this one")  # fmt: skip
    more.add_argument("--head", default="HEAD_ADDRESS", metavar="ADDRESS", help="of this machine, for the others")
    more.add_argument("--cluster", choices=["ray", "own"], default="ray", help="vLLM's nodes through Ray or its own "
                      "way (default: ray)")  # fmt: skip
    more.add_argument("--replicas", type=positive, default=1, metavar="N", help="vLLM servers behind vLLM's router")
    serve.add_argument("--offline", action="store_true", help="no hub is asked: the weights are here")
    show = serve.add_argument_group("only show")
    show.add_argument("--dry-run", action="store_true", help="print the plan and the commands, start nothing")
    show.add_argument("--machine", metavar="GPUS", help="with --dry-run: plan for 8x80 (eight GPUs of 80 GiB)")
    show.add_argument("--card", action="store_true", help="the model card's own command, word for word")
    after = serve.add_argument_group("servers that run")
    after.add_argument("--lines", type=positive, default=40, metavar="N", help="of the log (default: 40)")
    after.add_argument("--follow", action="store_true", help="go on with the log as it grows")
    after.add_argument("--force", action="store_true", help="stop it also while sessions use it")
    serve.set_defaults(run=command)


def command(args: argparse.Namespace) -> int:
    """Carry out the command. Raises: QcodeError."""
    from qcode.errors import ConfigError

    if args.model in ACTIONS:
        from qcode.cli import served

        return {"status": served.status, "stop": served.stop, "logs": served.logs}[args.model](args)
    if args.name is not None:
        raise ConfigError(f"one model at a time: {args.model!r} or {args.name!r}")
    if args.machine is not None and not args.dry_run:
        raise ConfigError("--machine is for --dry-run: what is started runs on this machine")
    return _show(args) if args.dry_run or args.card else _start(args)


def _wish(args: argparse.Namespace) -> "Wish":
    from qcode.app.serving import weights_to_serve
    from qcode.cli.settings import folder_of, settings_of
    from qcode.serving.hardware import described, detect
    from qcode.serving.plan import Wish
    from qcode.serving.profiles import EngineName

    loaded = settings_of(args, folder_of(Path(), trust=False, notice=_notice), _notice, serves=True)
    settings = loaded.settings
    if (url := loaded.said("base_url")[0].value) is not None and not (args.dry_run or args.card):
        _notice(f"sessions go on asking {url}, which is set as base_url, unless they are told otherwise")
    machine = described(args.machine) if args.machine else detect()
    engine = EngineName(settings.engine) if settings.engine else None
    card, weights = weights_to_serve(settings, machine, engine)
    return Wish(
        card=card,
        engine=engine,
        context=settings.context,
        quantization=args.quantization,
        hub=args.hub,
        speculation=args.speculation,
        nodes=args.nodes,
        head=args.head,
        cluster=args.cluster,
        replicas=args.replicas,
        slots=args.slots,
        port=args.port,
        folder=args.weights or weights,
        python=args.python,
        offline=settings.offline,
        extra=tuple(word for flag in args.flag for word in _words(flag)),
    )


def _show(args: argparse.Namespace) -> int:
    from qcode.errors import ConfigError
    from qcode.serving.command import published
    from qcode.serving.hardware import described, detect
    from qcode.serving.planning import choose_engine, make_plan
    from qcode.serving.show import as_data, as_text

    wish = _wish(args)
    machine = described(args.machine) if args.machine else detect()
    if args.card:
        engine = wish.engine or choose_engine(wish, machine)
        asked: Speculation = "off" if args.speculation == "auto" else args.speculation
        text = published(wish.card, engine, wish.hub, asked)
        if text is None or (asked != "off" and "--speculative" not in text):
            speculating = "" if asked == "off" else f" with --speculation {asked}"
            raise ConfigError(f"the card of {wish.card.title} has no command for {engine}{speculating}")
        print(text)
        return 0
    plan = make_plan(wish, machine)
    if args.json:
        import json

        print(json.dumps(as_data(plan, machine), indent=2))
    else:
        print(as_text(plan, machine))
    return 0


def _start(args: argparse.Namespace) -> int:
    import asyncio

    from qcode.app.serving import lease_for, plan_for
    from qcode.serving.client import stop
    from qcode.serving.command import launches

    wish = _wish(args)
    plan = plan_for(wish)
    lease = lease_for(plan, fixed_port=wish.port is not None, notice=_notice)
    for note in plan.notes:
        _notice(note)
    for launch in launches(plan):
        if not launch.here or launch.role == "ray":
            _notice(f"run on {'this machine' if launch.here else f'machine {launch.rank}'}: {launch.text}")
    if lease.folder.supervised():
        _notice(f"{plan.title} runs already: it is joined as it is (`qcode serve stop` to start it anew)")
    lease.folder.make()
    stayed = lease.folder.keep.exists()
    lease.folder.keep.touch()
    try:
        record = asyncio.run(lease.ready())
    except KeyboardInterrupt:
        lease.release()
        if not stayed and lease.folder.users() == 0:
            stop(lease.folder)
        raise
    finally:
        lease.release()
    _print_record(args, lease.folder, record)
    return 0


def _print_record(args: argparse.Namespace, folder: "ServerFolder", record: "Record") -> None:
    if args.json:
        print(record.model_dump_json())
        return
    print(f"{record.title} answers at {record.base_url} as {record.served}, window {record.context:,} tokens")
    print(f"use it:  qcode run --base-url {record.base_url} --model {record.served} --task issue.md")
    print(f"end it:  qcode serve stop {folder.id}")


def _notice(line: str) -> None:
    import sys

    from qcode.ui.sanitize import visible

    print(f"qcode: {visible(line)}", file=sys.stderr, flush=True)


def _words(flag: str) -> list[str]:
    name, equals, value = flag.partition("=")
    return [f"--{name.lstrip('-')}", *([value] if equals else [])]
