"""Makes of a GGUF file a checkpoint that vLLM serves, in bfloat16, with Qwen3-Coder's chat template.

build/vllm-env/bin/python -P benchmarks/checkpoint.py MODEL.gguf DIRECTORY   (3.5 GB and a minute for 1.5B parameters)
"""

import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig


def main() -> None:
    source, target = map(Path, sys.argv[1:])
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    model = AutoModelForCausalLM.from_pretrained(
        source.parent,
        gguf_file=source.name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
    )
    model.config.quantization_config = None
    model.save_pretrained(target)
    tokenizer.chat_template = Path(__file__).with_name("qwen3_coder.jinja").read_text(encoding="utf-8")
    tokenizer.save_pretrained(target)


if __name__ == "__main__":
    main()
