"""What torch's native CUDA kernels take for log-softmax, CTC, the mean per label and the gradient by the logits: one line of JSON a shape.

Arguments: shapes as TxNxCxS. Milliseconds: `kernel` is the time of all kernels of a step (torch.profiler), `wall` of a step that ends with reading the loss.
"""
import json
import sys
import time

import torch
from torch.nn.functional import ctc_loss, log_softmax


WARM_UP = 3  # seconds, as in bench/ctc-webgpu.mjs


def lengths(count, most, rng):
    return torch.randint(most // 2, most + 1, (count,), generator=rng)


def step_of(frames, batch, classes, labels):
    rng = torch.Generator().manual_seed(1)
    logits = torch.randn(frames, batch, classes, generator=rng).cuda().requires_grad_()
    targets = torch.randint(1, classes, (batch, labels), generator=rng).cuda()
    input_lengths, target_lengths = lengths(batch, frames, rng).cuda(), lengths(batch, labels, rng).cuda()

    def step():
        logits.grad = None
        losses = ctc_loss(log_softmax(logits, -1), targets, input_lengths, target_lengths, reduction="none")
        loss = (losses / target_lengths).mean()
        loss.backward()
        return loss

    return step


def median(values):
    return sorted(values)[len(values) // 2]


def wall(step, rounds):
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        step().item()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - start) * 1e3)
    return median(times)


def kernel(step, rounds):
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        for _ in range(rounds):
            step()
        torch.cuda.synchronize()
    return sum(event.self_device_time_total for event in profile.key_averages()) / rounds / 1e3


if not torch.cuda.is_available():
    sys.exit("torch finds no CUDA device")
print(json.dumps({"torch": torch.__version__, "device": torch.cuda.get_device_name()}))
for shape in sys.argv[1:]:
    step = step_of(*(int(size) for size in shape.split("x")))
    start = time.perf_counter()
    while time.perf_counter() - start < WARM_UP:
        step().item()
    print(json.dumps({"shape": shape, "kernel": kernel(step, 20), "wall": wall(step, 200)}), flush=True)
