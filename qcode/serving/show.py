"""A plan in words, and as data for programs."""

from typing import Any

from qcode.models.registry import find
from qcode.serving.command import Launch, launches, layout_words, published
from qcode.serving.environment import how_to_get
from qcode.serving.hardware import GIB, Machine
from qcode.serving.plan import Plan
from qcode.serving.profiles import engine_profile


def as_data(plan: Plan, machine: Machine) -> dict[str, Any]:
    """Everything that a program may want to know; sizes in bytes."""
    budget = plan.budget
    return {
        "model": plan.model,
        "served_name": plan.served,
        "engine": plan.engine.value,
        "base_url": base_url(plan),
        "machine": machine.model_dump(mode="json"),
        "weights": plan.weights.model_dump(mode="json", exclude={"shape"}),
        "layout": layout_words(plan),
        "context": plan.context,
        "speculation": plan.speculation,
        "memory": {**budget.model_dump(), "room": budget.room, "tokens_that_fit": budget.tokens},
        "published": published(find(plan.model), plan.engine, plan.hub, plan.speculation),
        "commands": [
            {**launch.model_dump(mode="json"), "command": launch.text} for launch in launches(plan)
        ],
        "notes": notes(plan),
    }  # fmt: skip


def as_text(plan: Plan, machine: Machine) -> str:
    """For people: the machine, the arithmetic, each command and each flag's reason."""
    lines = [
        f"{plan.title} on {engine_profile(plan.engine).title}, at {base_url(plan)} as {plan.served}",
        "",
        *_rows(
            [
                ("machine", machine_words(machine)),
                ("weights", f"{plan.weights.model} ({plan.weights.quantization}, {_gib(plan.weights.bytes)})"),
                ("shared out", layout_words(plan)),
                ("window", f"{plan.context:,} tokens: {plan.context_why}"),
                ("speculation", plan.speculation),
            ]
        ),
        "",
        *_memory(plan),
    ]
    for launch in launches(plan):
        lines += ["", *_launch(plan, launch)]
    said = notes(plan)
    return "\n".join([*lines, *([""] if said else []), *(f"note: {note}" for note in said)])


def notes(plan: Plan) -> list[str]:
    """What the user should know before starting it."""
    missing = plan.python is None and plan.program is None
    title = engine_profile(plan.engine).title
    return [*plan.notes, *([f"{title} was not found here: {how_to_get(plan.engine)}"] if missing else [])]


def base_url(plan: Plan) -> str:
    """Where clients reach it from this machine."""
    return f"http://127.0.0.1:{plan.port}/v1"


def machine_words(machine: Machine) -> str:
    """GPUs, memory and processors in one line."""
    kinds: dict[str, int] = {}
    for gpu in machine.gpus:
        kind = f"{gpu.name}, {_gib(gpu.total)} ({_gib(gpu.free)} free)"
        kinds[kind] = kinds.get(kind, 0) + 1
    gpus = "; ".join(f"{count} x {kind}" for kind, count in kinds.items()) or "no GPU"
    rest = "as described" if machine.described else f"{_gib(machine.ram)} of memory free, {machine.cpus} processors"
    return f"{gpus}; {rest}"


def _memory(plan: Plan) -> list[str]:
    budget = plan.budget
    shared = plan.on_gpu and plan.engine.value != "llama-server"
    rows = [
        ("may be used", _gib(budget.usable)),
        ("- weights", _gib(budget.weights)),
        ("- engine", f"{_gib(budget.overhead)} (estimated)"),
    ]
    if budget.state:
        rows.append(("- state", f"{_gib(budget.state)} per sequence, of the layers without a cache"))
    rows += [
        ("= for the cache", f"{_gib(budget.room)}, {budget.per_token:,} bytes a token: {budget.tokens:,} tokens"),
    ]
    return ["memory of each GPU" if shared else "memory", *("  " + row for row in _rows(rows))]


def _launch(plan: Plan, launch: Launch) -> list[str]:
    where = "" if plan.nodes == 1 and plan.replicas == 1 else f" ({_where(plan, launch)})"
    rows = [(f"{reason.name} {reason.value or ''}".strip(), reason.why) for reason in launch.reasons]
    return [f"command{where}", f"  {launch.text}", *("    " + row for row in _rows(rows))]


def _where(plan: Plan, launch: Launch) -> str:
    if plan.replicas > 1:
        return "router" if launch.role == "router" else f"replica {launch.rank + 1}"
    return f"{'Ray, ' if launch.role == 'ray' else ''}machine {launch.rank}"


def _rows(rows: list[tuple[str, str]]) -> list[str]:
    width = min(44, max((len(name) for name, _ in rows), default=0))
    return [f"{name.ljust(width)}  {text}" for name, text in rows]


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
