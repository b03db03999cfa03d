"""Any server that speaks OpenAI's chat completions: vLLM, llama.cpp's server, Ollama, LM Studio, SGLang, OpenAI."""
