"""Run in vLLM's environment: random checkpoints of the family's architectures, with only the sizes scaled down.

Usage: toys.py GGUF TEMPLATE DIRECTORY. The vocabulary and tokenizer are the real ones; the weights mean nothing. Makes
DIRECTORY/qwen3-coder-480b-a35b (Qwen3MoeForCausalLM) and DIRECTORY/qwen3-coder-next (Qwen3NextForCausalLM).
"""

import sys
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

SMALL = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 128,
    "max_position_embeddings": 262_144,
    "tie_word_embeddings": False,
}
TOYS = {
    "qwen3-coder-480b-a35b": ("qwen3_moe", {**SMALL, "num_hidden_layers": 2, "head_dim": 32}),
    "qwen3-coder-next": (
        "qwen3_next",
        {
            **SMALL,
            "num_hidden_layers": 4,
            "head_dim": 64,
            "shared_expert_intermediate_size": 128,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 4,
            "linear_key_head_dim": 128,
            "linear_value_head_dim": 128,
        },
    ),
}

gguf, template, directory = (Path(word) for word in sys.argv[1:])
tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
tokenizer.chat_template = template.read_text(encoding="utf-8")
for name, (kind, values) in TOYS.items():
    torch.manual_seed(1)
    config = AutoConfig.for_model(kind, vocab_size=151_936, **values)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(directory / name)
    tokenizer.save_pretrained(directory / name)
    print(name, sum(parameter.numel() for parameter in model.parameters()), flush=True)
