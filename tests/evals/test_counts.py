"""What a model's server counts itself, where answers that were broken off do not say."""

import pytest
from paced_server import pacing

from qcode.messages import Usage
from qcode_evals.attempt import Attempt, Outcome
from qcode_evals.reports.compare import compared
from qcode_evals.reports.scoring import summary
from qcode_evals.reports.table import row
from qcode_evals.server.counts import Counts, counted, counts_of

VLLM = """# TYPE vllm:prefix_cache_queries_total counter
vllm:prefix_cache_queries_total{engine="0",model_name="a b"} 178100.0
vllm:prefix_cache_hits_total{engine="0",model_name="a b"} 1.60192e+05
vllm:generation_tokens_total{engine="0",model_name="a b"} 23545.0
"""
LLAMA_CPP = "llamacpp:prompt_tokens_total 900\nllamacpp:tokens_predicted_total 40\n"


def test_what_a_server_has_read_and_written() -> None:
    assert counted(VLLM) == Counts(17_908, 160_192, 23_545)
    assert counted(VLLM + VLLM) == Counts(2 * 17_908, 2 * 160_192, 2 * 23_545), "several engines"
    assert counted(LLAMA_CPP) == Counts(900, None, 40)
    assert counted("vllm:prefix_cache_queries_total 1\n") is None
    assert counted("") is None


def test_what_came_since() -> None:
    before, after = Counts(10, 20, 30), Counts(1_010, 2_020, 3_030)
    assert str(after.since(before)) == "1,000 read, 2,000 cached, 3,000 written"
    assert str(Counts(5, None, 6).since(Counts(1, None, 2))) == "4 read, 4 written"
    assert before.since(after) is None, "it was started anew"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/v1", "http://[", "nonsense"])
async def test_a_server_that_is_not_there_counts_nothing(url: str) -> None:
    assert await counts_of(url, None) is None


async def test_a_server_that_does_not_tell_counts_nothing() -> None:
    async with pacing() as (url, server):
        assert await counts_of(url, "key") is None
    assert [path for _, path, _, _ in server.requests] == ["/metrics"]


def test_a_sum_with_requests_of_which_nothing_was_told_says_so() -> None:
    whole = Usage(prompt_tokens=1_000, cached_tokens=900, completion_tokens=10, requests=1)
    broken_off = Usage(prompt_tokens=2_000, completion_tokens=10, requests=1, cache_untold=1)

    def run(usage: Usage) -> list[Attempt]:
        return [
            Attempt(
                instance_id="a", repeat=0, key="k", agent="qcode", model="m", outcome=Outcome.RESOLVED, resolved=True,
                usage=usage,
            )
        ]  # fmt: skip

    lines = summary(run(whole + broken_off))
    assert "tokens: about 2,100 read, 900 cached, 20 written, in 2 requests" in lines
    assert "of 1 requests, as of those broken off, it was not told what was cached" in lines
    assert "| about 2,100 |" in row("x", run(whole + broken_off))
    assert "about" not in "".join([*summary(run(whole)), row("x", run(whole))])
    assert any(line.startswith("B: about 2,120 tokens") for line in compared(run(whole), run(whole + broken_off)))
