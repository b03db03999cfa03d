"""Run in vLLM's environment: how many parameters transformers gives to each configuration, without making them.

One JSON object a line on stdin (a config.json with its model_type); the count a line on stdout.
"""

import json
import sys

import torch
from transformers import AutoConfig, AutoModelForCausalLM

for line in sys.stdin:
    values = json.loads(line)
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    seen = {id(parameter): parameter.numel() for parameter in model.parameters()}
    print(sum(seen.values()), flush=True)
