"""Any server that speaks OpenAI's chat completions: vLLM, llama.cpp's server, Ollama, LM Studio, SGLang, OpenAI."""

from qcode.backends.openai_compat.backend import OpenAIBackend
from qcode.backends.openai_compat.client import Timeouts
from qcode.backends.openai_compat.survey import Needs

__all__ = ["Needs", "OpenAIBackend", "Timeouts"]
