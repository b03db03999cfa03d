"""A vLLM plugin for measurements on processors: top-p among the top k, without sorting the whole vocabulary.

vLLM 0.32 sorts all 151,936 logits of each sequence for each token where a request asks for top-k and top-p, on one
core: more than half of a step of 16 sequences here. What survives both is among the k largest, so they are enough; the
distribution that is sampled from is the same (but for ties at the k-th place). Loaded where this folder is on
PYTHONPATH.
"""

LARGEST_K = 1024


def register() -> None:
    """The entry point: take the place of vLLM's function."""
    import torch
    from vllm.v1.sample.ops import topk_topp_sampler

    original = topk_topp_sampler.apply_top_k_top_p_pytorch

    def apply(logits, k, p, allow_cpu_sync=False):
        if k is None or p is None or (largest := int(k.max())) > LARGEST_K:
            return original(logits, k, p, allow_cpu_sync)
        values, places = logits.topk(largest, dim=-1)
        rank = torch.arange(largest).unsqueeze(0)
        values = values.masked_fill(rank >= k.unsqueeze(1), -float("inf"))
        probabilities = values.softmax(dim=-1)
        above = probabilities.cumsum(dim=-1) - probabilities
        values = values.masked_fill((above >= p.unsqueeze(1)) & (rank > 0), -float("inf"))
        return logits.fill_(-float("inf")).scatter_(dim=-1, index=places, src=values)

    topk_topp_sampler.apply_top_k_top_p_pytorch = apply
