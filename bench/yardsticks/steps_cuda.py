"""What torch takes on a CUDA device for the training steps of torch_steps.py: a line of JSON a step, milliseconds of wall time that end with reading the loss.

Arguments: calls such as "digits(16, 192, 6)".
"""
import json
import os
import sys
import time

import torch

sys.path.insert(0, os.path.dirname(__file__))
if not torch.cuda.is_available():
    sys.exit("torch finds no CUDA device")
torch.set_default_device("cuda")
import torch_steps

print(json.dumps({"torch": torch.__version__, "device": torch.cuda.get_device_name()}))
for call in sys.argv[1:]:
    name, arguments = call.rstrip(")").split("(")
    run = getattr(torch_steps, name)(*(int(size) for size in arguments.split(",")))
    for _ in range(10):
        run()
    times = []
    for _ in range(50):
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - start) * 1e3)
    print(json.dumps(sorted(times)[len(times) // 2]), flush=True)
