"""Any server that speaks OpenAI's chat completions: vLLM, llama.cpp's server, Ollama, LM Studio, SGLang, OpenAI."""

from qcode.backends.openai_compat.backend import OpenAIBackend
from qcode.backends.openai_compat.client import Timeouts

__all__ = ["OpenAIBackend", "Timeouts"]
