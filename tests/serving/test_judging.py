"""What the logs of servers say: how far they are, and why they ended."""

from pathlib import Path

import pytest

from qcode.serving.failures import Kind, ending, oom_kills
from qcode.serving.loading import progress, shows_work

VLLM_CACHE = """\
(EngineCore_DP0 pid=812) ERROR 11-22 09:00:01 [core.py:842] ValueError: To serve at least one request with the model's \
max seq len (262144), (24.0 GiB KV cache is needed, which is larger than the available KV cache memory (9.2 GiB). \
Based on the available memory, the estimated maximum model length is 100480. Try increasing `gpu_memory_utilization`
(APIServer pid=800) RuntimeError: Engine core initialization failed. See root cause above.
"""
TORCH = """\
INFO 11-22 09:00:00 [gpu_model_runner.py:5150] Model loading took 56.9 GiB memory and 30.1 seconds
(Worker_TP0 pid=1) torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of
"""
WORKER = """\
(Worker pid=24766) ERROR 11-22 10:40:05 [multiproc_executor.py:1063] RuntimeError: Unexpected head dim size, 32
(EngineCore pid=168) ERROR 11-22 10:40:05 [core.py:1512]     raise RuntimeError(
(EngineCore pid=168) ERROR 11-22 10:40:05 [core.py:1512] RuntimeError: Worker failed with 'Unexpected head dim size'
(APIServer pid=44) ERROR 11-22 10:40:05 [async_llm.py:906]     outputs = await engine_core.get_output_async()
(APIServer pid=44) ERROR 11-22 10:40:05 [async_llm.py:906] vllm.v1.engine.exceptions.EngineDeadError: EngineCore \
encountered an issue. See stack trace (above) for the root cause.
/x/resource_tracker.py:254: UserWarning: resource_tracker: There appear to be 2 leaked shared_memory objects
  warnings.warn('resource_tracker: There appear to be %d '
"""
ENGINE = """\
(APIServer pid=31) WARNING 11-22 16:20:00 [x.py:1] Found ulimit. This can cause errors like `OSError: [Errno 24] \
Too many open files`. Consider increasing with ulimit -n
(APIServer pid=31) WARNING 11-22 16:22:58 [core_client.py:817] [shutdown] MPClient: engine core exited unexpectedly
(APIServer pid=31) ERROR 11-22 16:22:58 [async_llm.py:906] AsyncLLM output_handler failed.
(APIServer pid=31) ERROR 11-22 16:22:58 [async_llm.py:906] vllm.v1.engine.exceptions.EngineDeadError: EngineCore \
encountered an issue. See stack trace (above) for the root cause.
INFO:     Finished server process [31]
nanobind: leaked 4 instances!
 - leaked type "triton._C.libtriton.ir.block"
"""
LLAMA = """\
0.02.001.111 E ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 51539607552
0.02.001.211 E llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv cache
error: failed to create context
"""


@pytest.mark.parametrize(
    ("code", "log", "kind", "words", "fits"),
    [
        (1, VLLM_CACHE, Kind.MEMORY, "larger than the available KV cache memory", 100480),
        (1, TORCH, Kind.MEMORY, "torch.OutOfMemoryError: CUDA out of memory", None),
        (0, WORKER, Kind.CRASH, "RuntimeError: Worker failed with 'Unexpected head dim size'", None),
        (0, ENGINE, Kind.CRASH, "the process that holds the model was killed", None),
        (1, LLAMA, Kind.MEMORY, "failed to allocate buffer for kv cache", None),
        (-9, "INFO all is well\n", Kind.CRASH, "it was killed by SIGKILL", None),
        (-11, "", Kind.CRASH, "it was killed by SIGSEGV", None),
        (2, "usage: api_server\napi_server.py: error: unrecognized arguments: --no\n", Kind.FINAL, "--no", None),
        (1, "/x/python: No module named vllm\n", Kind.FINAL, "No module named vllm", None),
        (1, "RuntimeError: CUDA error: an illegal memory access\n", Kind.CRASH, "illegal memory access", None),
        (0, "", Kind.CRASH, "it ended with exit code 0", None),
    ],
)
def test_why_a_server_ended(code: int, log: str, kind: Kind, words: str, fits: int | None) -> None:
    end = ending(code, log)
    assert (end.kind, end.fits) == (kind, fits)
    assert words in end.words
    assert len(end.words) < 400


def test_the_kernels_killing_for_memory() -> None:
    assert ending(-9, "", killed_for_memory=True).kind is Kind.MEMORY
    assert ending(-15, "", killed_for_memory=True).kind is Kind.CRASH
    # The kernel kills the process that holds the model; the server in front of it then ends by itself.
    assert ending(0, ENGINE, killed_for_memory=True).kind is Kind.MEMORY


@pytest.mark.parametrize(
    ("line", "folder", "counters"),
    [
        ("0::/user.slice/one.scope", "user.slice/one.scope", "memory.events"),
        ("4:memory:/one\n0::/", "memory/one", "memory.oom_control"),
        ("0::/user.slice/one.scope", "user.slice", "memory.events"),
        ("4:memory:/docker/not-seen-from-inside", "memory", "memory.oom_control"),
    ],
)
def test_only_those_are_counted_that_are_in_the_same_group(
    tmp_path: Path, line: str, folder: str, counters: str
) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(f"1:name=systemd:/\n{line}\n")
    (tmp_path / "proc/vmstat").write_text("pgfault 9\noom_kill 187\n")
    (tmp_path / "sys" / folder).mkdir(parents=True)
    assert oom_kills(proc=tmp_path / "proc", cgroup=tmp_path / "sys") == 187
    (tmp_path / "sys" / folder / counters).write_text("under_oom 0\noom_kill 3\noom_group_kill 0\n")
    assert oom_kills(proc=tmp_path / "proc", cgroup=tmp_path / "sys") == 3


def test_a_log_cannot_speak_to_the_terminal() -> None:
    assert "\x1b" not in ending(1, "Error: \x1b]0;owned\x07 \x1b[2J\n").words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Loading safetensors checkpoint shards:  50% Completed | 2/4 [00:05<00:05,  2.5s/it]", "50% (2 of 4 files)"),
        ("INFO 11-22 [gpu_model_runner.py:1] Model loading took 56.93 GiB memory and 30.1 seconds", "56.93 GiB"),
        ("Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  45%|####5 ", "capturing graphs 45%"),
        ("INFO [kv_cache_utils.py:2328] GPU KV cache size: 864,305 tokens", "cache of 864,305 tokens"),
        ("0.00.005.286 I srv    load_model: loading model '/x.gguf'", "loading weights"),
        ("Fetching 12 files:  25%|##5       | 3/12 [00:01<00:03]", "downloading 25%"),
        ("INFO:     Application startup complete.", "listening"),
    ],
)
def test_progress(line: str, words: str) -> None:
    assert words in (progress(f"something else\n{line}\rnothing known\n") or "")


def test_no_progress_in_other_words() -> None:
    assert progress("hello\nworld\n") is None


def test_statistics_are_no_sign_of_work() -> None:
    """vLLM goes on writing them when its engine hangs."""
    idle = "INFO 11-22 [loggers.py:1] Engine 000: Avg prompt throughput: 0.0 tokens/s, Running: 1 reqs\n"
    assert not shows_work(idle + '127.0.0.1:5000 - "GET /metrics HTTP/1.1" 200 OK\n\n')
    assert shows_work(idle + "INFO 11-22 [x.py:1] something was done\n")
