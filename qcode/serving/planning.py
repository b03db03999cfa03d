"""From a machine and a wish to a plan: engine, weights, layout, window, each with what it rests on."""

from collections.abc import Iterator
from dataclasses import dataclass

from qcode.errors import ConfigError
from qcode.models.card import ModelCard
from qcode.serving import weights as weighing
from qcode.serving.environment import LLAMA_PROGRAM, find_python
from qcode.serving.footprint import gpu_budget, splits, whole_budget
from qcode.serving.hardware import GIB, Machine
from qcode.serving.plan import SMALLEST_CONTEXT, Budget, Plan, Weights, Wish
from qcode.serving.profiles import (
    EngineName,
    EngineProfile,
    Layout,
    Profile,
    Speculation,
    engine_profile,
    profile_for,
)

GOOD_CONTEXT = 131_072
"""Tokens: a layout that leaves room for so many is taken before one that leaves more but answers slower."""
CPU_CONTEXT = 32_768
"""Tokens: without a GPU, reading more than this takes longer than anybody waits."""
_GRAIN = 1024
_SLACK = GIB // 2

FEW_PROCESSORS = 4
"""With two, a worker that has both in the scheduler's process was 1.8 times as fast as one that has the one left to it
(vLLM 0.32; docs/benchmarks.md)."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to put the model on this machine; `count` GPUs on each of the nodes."""

    weights: Weights
    layout: Layout | None
    count: int
    budget: Budget
    utilisation: float


def make_plan(wish: Wish, machine: Machine) -> Plan:
    """The plan, or why there is none. Raises: ConfigError, ModelFileError."""
    card = wish.card
    engine = wish.engine or choose_engine(wish, machine)
    general, profile = engine_profile(engine), profile_for(card.name, engine)
    speculation = _speculation(wish, engine, profile)
    _check(wish, engine)
    notes = list(machine.notes)
    candidates = list(_candidates(wish, machine, engine, mtp=speculation == "mtp"))
    if not candidates:
        raise ConfigError(f"{card.title} cannot be shared out over the GPUs that are here")
    native, wanted = card.context.native, _wanted(wish, engine, machine)
    chosen = _best(candidates, min(wanted, GOOD_CONTEXT) if wish.context is None else wanted)
    fits = chosen.budget.tokens
    if fits < min(SMALLEST_CONTEXT, native):
        raise ConfigError(_too_small(card, engine, chosen, machine))
    context, why = _context(wish, wanted, fits, native)
    if context < wanted:
        notes.append(f"the window is cut from {wanted:,} to {context:,} tokens: more do not fit into the memory")
    if (first := candidates[0]) is not chosen:
        notes.append(
            f"{_words(first)} would leave room for {first.budget.tokens:,} tokens only: {_words(chosen)} instead"
        )
    if context < SMALLEST_CONTEXT:
        notes.append(f"{context:,} tokens are few: sessions refuse less than 16,000, unless they have --small-context")
    factor = -(-context // native)
    world = chosen.count if chosen.layout else 1
    nodes_split = wish.nodes if chosen.layout is not Layout.EXPERT_DATA else 1
    slots = wish.slots or (2 if engine is EngineName.LLAMA and fits >= 2 * context else 1)
    python = find_python(engine, wish.python)
    return Plan(
        model=card.name,
        title=card.title,
        engine=engine,
        hub=wish.hub,
        weights=chosen.weights,
        layout=chosen.layout,
        gpus=_devices(machine, chosen.count) if machine.gpus and chosen.count else (),
        gpu_count=len(machine.gpus),
        tensor=world if chosen.layout in {Layout.TENSOR, Layout.TENSOR_EXPERT} else 1,
        data=world * wish.nodes if chosen.layout is Layout.EXPERT_DATA else 1,
        pipeline=nodes_split,
        nodes=wish.nodes,
        head=wish.head,
        cluster=wish.cluster,
        replicas=wish.replicas,
        context=context,
        native=native,
        factor=factor,
        context_why=why,
        slots=slots,
        speculation=speculation,
        utilisation=chosen.utilisation,
        cache_gib=_cache_gib(chosen, context) if engine is EngineName.VLLM and not chosen.count else 0,
        threads=machine.cpus if _alone_on_few(wish, machine, engine, chosen) else 0,
        port=wish.port or general.port,
        python=python,
        program=_program(engine) if wish.python is None else None,
        budget=chosen.budget,
        offline=wish.offline or chosen.weights.local,
        extra=wish.extra,
        notes=tuple(notes),
    )


def choose_engine(wish: Wish, machine: Machine) -> EngineName:
    """vLLM or SGLang where GPUs and one of them are here and the model fits, else llama.cpp.

    A folder of safetensors needs vLLM; on a machine that is only described everything counts as installed.
    """
    if wish.folder is not None:
        return EngineName.LLAMA if wish.folder.suffix.casefold() == ".gguf" else EngineName.VLLM
    if machine.gpus:
        for engine in (EngineName.VLLM, EngineName.SGLANG):
            if not machine.described and find_python(engine, None) is None:
                continue
            found = _candidates(wish, machine, engine, mtp=False)
            if any(each.budget.tokens >= SMALLEST_CONTEXT for each in found):
                return engine
    return EngineName.LLAMA


def _check(wish: Wish, engine: EngineName) -> None:
    """Raises: ConfigError for what this engine cannot do."""
    card = wish.card
    longest = card.context.extended or card.context.native
    if wish.context is not None and wish.context > longest:
        reach = "with YaRN" if card.context.extended else "and has no YaRN setting"
        raise ConfigError(f"--context {wish.context}: {card.title} reaches {longest} tokens {reach}")
    if engine is EngineName.LLAMA and (wish.nodes > 1 or wish.replicas > 1):
        raise ConfigError("--nodes and --replicas need --engine vllm (or sglang for --nodes)")
    if wish.replicas > 1 and (engine is not EngineName.VLLM or wish.nodes > 1):
        raise ConfigError("--replicas needs --engine vllm on one machine")


def _wanted(wish: Wish, engine: EngineName, machine: Machine) -> int:
    if wish.context is not None:
        return wish.context
    native = wish.card.context.native
    return min(native, CPU_CONTEXT) if engine is EngineName.LLAMA or not machine.gpus else native


def _context(wish: Wish, wanted: int, fits: int, native: int) -> tuple[int, str]:
    if fits < wanted:
        context = fits // _GRAIN * _GRAIN
        return context, f"as much as fits into the memory: {fits:,} tokens"
    if wish.context is not None:
        return wanted, "the window that was asked for"
    if wanted < native:
        return wanted, f"enough for a coding session; the model could {native:,}"
    return wanted, "the model's own window"


def _candidates(wish: Wish, machine: Machine, engine: EngineName, *, mtp: bool) -> Iterator[Candidate]:
    """The ways that exist, best first."""
    general, profile = engine_profile(engine), profile_for(wish.card.name, engine)
    for weights in _weights(wish, machine, engine, profile, mtp=mtp):
        if engine is EngineName.LLAMA or not machine.gpus:
            yield _in_one_memory(weights, machine, general, engine, shares=wish.replicas)
            continue
        shape, kind = weights.shape, weights.quantization
        for count in _counts(profile.gpus, len(machine.gpus) // wish.replicas):
            usable, utilisation = _usable(machine, count, profile.utilisation or general.utilisation)
            for layout in _layouts(profile, weights, count, wish.nodes):
                spread = count * wish.nodes if layout is Layout.EXPERT_DATA else count
                if splits(shape, kind, layout, spread):
                    stages = 1 if layout is Layout.EXPERT_DATA else wish.nodes
                    budget = gpu_budget(
                        shape, kind, layout, count=spread, stages=stages, usable=usable,
                        overhead=int(general.overhead_gib * GIB), mtp=mtp,
                    )  # fmt: skip
                    yield Candidate(weights, layout if spread > 1 else None, count, budget, utilisation)


def _weights(wish: Wish, machine: Machine, engine: EngineName, profile: Profile, *, mtp: bool) -> Iterator[Weights]:
    if engine is EngineName.LLAMA:
        yield weighing.from_gguf(wish.card, wish.folder, must_exist=False)
    elif wish.folder is not None:
        yield weighing.from_folder(wish.card, wish.folder)
    else:
        for kind in (wish.quantization,) if wish.quantization else profile.weights:
            # A processor has no 8-bit floating point.
            if kind == "fp8" and not machine.gpus:
                continue
            if found := weighing.from_hub(wish.card, kind, wish.hub, mtp=mtp):
                yield found


def _layouts(profile: Profile, weights: Weights, count: int, nodes: int) -> Iterator[Layout]:
    yield from profile.layouts
    experts = Layout.TENSOR_EXPERT not in profile.layouts and weights.shape.experts > 0 and count > 1
    if experts and not splits(weights.shape, weights.quantization, Layout.TENSOR, count):
        yield Layout.TENSOR_EXPERT


def _counts(card: int, there: int) -> Iterator[int]:
    """Numbers of GPUs to try: the model card's, then twice that and so on; where fewer are there, as many as can be."""
    count = card
    while count > max(there, 1):
        count //= 2
    while count <= there:
        yield count
        count *= 2


def _usable(machine: Machine, count: int, utilisation: float) -> tuple[int, float]:
    """Bytes of each GPU that may be taken, and their share: what other programs hold is left to them."""
    taken = sorted(machine.gpus, key=lambda gpu: gpu.free, reverse=True)[:count]
    smallest = min(taken, key=lambda gpu: gpu.free)
    share = min(utilisation, (smallest.free - _SLACK) / smallest.total)
    share = max(0.0, int(share * 100) / 100)
    return int(smallest.total * share), share


def _devices(machine: Machine, count: int) -> tuple[int, ...]:
    free = sorted(machine.gpus, key=lambda gpu: (-gpu.free, gpu.index))
    return tuple(sorted(gpu.index for gpu in free[:count]))


def _in_one_memory(
    weights: Weights, machine: Machine, general: EngineProfile, engine: EngineName, *, shares: int
) -> Candidate:
    overhead = int(general.overhead_gib * GIB)
    gpu = int(sum(each.free for each in machine.gpus) * general.utilisation)
    memory = gpu if gpu > weights.bytes + overhead else machine.ram // shares
    budget = whole_budget(weights.shape, weights.bytes, usable=memory, overhead=overhead)
    on_gpu = engine is EngineName.LLAMA and memory == gpu
    return Candidate(weights, None, len(machine.gpus) if on_gpu else 0, budget, general.utilisation)


def _best(candidates: list[Candidate], wanted: int) -> Candidate:
    enough = (each for each in candidates if each.budget.tokens >= wanted)
    return next(enough, max(candidates, key=lambda each: each.budget.tokens))


def _speculation(wish: Wish, engine: EngineName, profile: Profile) -> Speculation:
    """Raises: ConfigError where the model has no layer for it."""
    if wish.speculation == "mtp" and (not wish.card.architecture.mtp or engine is EngineName.LLAMA):
        raise ConfigError(f"{wish.card.title} has no multi-token prediction on {engine}: --speculation ngram or off")
    if wish.speculation != "auto":
        return wish.speculation
    if engine is EngineName.LLAMA:
        return "ngram"
    return "mtp" if wish.card.architecture.mtp and wish.folder is None else "off"


def _cache_gib(chosen: Candidate, context: int) -> int:
    """On a processor: the cache of eight windows, of that many sessions at once, in at most half of what there is."""
    wanted = 8 * context * chosen.budget.per_token + 16 * chosen.budget.state
    return max(1, min(chosen.budget.room // 2 // GIB, -(-wanted // GIB)))


def _alone_on_few(wish: Wish, machine: Machine, engine: EngineName, chosen: Candidate) -> bool:
    """Whether vLLM would leave too many processors to its scheduler, which waits for its worker in a busy loop."""
    here = engine is EngineName.VLLM and not chosen.count and wish.replicas == wish.nodes == 1
    return here and machine.cpus <= FEW_PROCESSORS


def _program(engine: EngineName) -> str | None:
    import shutil

    return shutil.which(LLAMA_PROGRAM) if engine is EngineName.LLAMA else None


def _words(candidate: Candidate) -> str:
    gpus = f"{candidate.count} GPUs" if candidate.count > 1 else "one GPU" if candidate.count else "main memory"
    how = f" with {candidate.layout} parallelism" if candidate.layout else ""
    return f"{candidate.weights.quantization} on {gpus}{how}"


def _too_small(card: ModelCard, engine: EngineName, best: Candidate, machine: Machine) -> str:
    budget = best.budget
    gib = {name: f"{getattr(budget, name) / GIB:.1f}" for name in ("usable", "weights", "overhead")}
    where = "each GPU" if best.count and engine is not EngineName.LLAMA else "memory"
    other = "" if engine is EngineName.LLAMA else "; try --engine llama-server, whose weights have 4 bits"
    return (
        f"{card.title} does not fit: of {gib['usable']} GiB of {where}, weights take {gib['weights']} and the engine "
        f"{gib['overhead']}, which leaves room for {budget.tokens:,} tokens ({SMALLEST_CONTEXT:,} are needed){other}"
    )
