"""Writes convs.json: what torch computes in float64 for convolutions, pools, interpolation, losses and activations, with the gradients by every input.

Debian's python3-torch does: /usr/bin/python3 test/nn/facts/convs.py

Each case has the shapes and layouts of tapegrad, channels last, and its names of options; what torch wants otherwise is turned here.
"""
import json
import math
import pathlib

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)


def wave(shape, phase, low=-1.0, high=1.0):
    """The numbers that the test computes, too."""
    size = math.prod(shape)
    values = [low + (high - low) * (math.sin(0.7 * i + phase) + 1) / 2 for i in range(size)]
    return torch.tensor(values).reshape(shape)


def first(x):
    """[N, ..., C] as [N, C, ...]."""
    return x.movedim(-1, 1)


def last(x):
    return x.movedim(1, -1)


def windows(given):
    """torch's names and values of the options that it has as well."""
    known = {key: value for key, value in given.items() if key in ("stride", "dilation", "groups")}
    if given.get("padding") != "causal":
        known["padding"] = given.get("padding", 0)
    return known


def conv(f):
    def run(x, weight, **given):
        image = first(x)
        if given.get("padding") == "causal":
            image = F.pad(image, (given.get("dilation", 1) * (weight.shape[1] - 1), 0))
        return last(f(image, first(weight), **windows(given)))

    return run


def transposed(f):
    def run(x, weight, outputPadding=0, groups=1, **given):
        # [O, ..., C / groups] to torch's [C, O / groups, ...], group by group.
        kernel = torch.cat([part.movedim(-1, 0) for part in weight.chunk(groups)])
        return last(f(first(x), kernel, groups=groups, output_padding=outputPadding, **windows(given)))

    return run


def pool(f):
    return lambda x, kernel, **given: last(f(first(x), kernel, **given))


def interpolate(x, axis=-2, alignCorners=False, size=None, scale=None):
    lines = x.movedim(axis, -1)
    flat = lines.reshape(1, -1, lines.shape[-1])
    out = F.interpolate(flat, size=size, scale_factor=scale, mode="linear", align_corners=alignCorners)
    return out.reshape(*lines.shape[:-1], -1).movedim(-1, axis)


def cross_entropy(x, weight=None, targets=None, axis=-1, ignoreIndex=-100, labelSmoothing=0.0, reduction="mean"):
    index = torch.tensor(targets).reshape([n for i, n in enumerate(x.shape) if i != axis % x.dim()])
    return F.cross_entropy(
        x.movedim(axis, 1) if x.dim() > 1 else x,
        index,
        weight=weight,
        ignore_index=ignoreIndex,
        label_smoothing=labelSmoothing,
        reduction=reduction,
    )


def weighted_bce(a, b, posWeight, weight, reduction="mean"):
    """torch has no derivative by the weights: its values, with the gradients of the formula."""
    losses = weight * (posWeight * b * F.softplus(-a) + (1 - b) * F.softplus(a))
    own = {"mean": losses.mean, "sum": losses.sum, "none": lambda: losses}[reduction]()
    weights = {"weight": weight.detach(), "pos_weight": posWeight.detach()}
    theirs = F.binary_cross_entropy_with_logits(a, b, reduction=reduction, **weights)
    assert torch.allclose(own, theirs, rtol=1e-12)
    return own


OPS = {
    "conv1d": conv(F.conv1d),
    "conv2d": conv(F.conv2d),
    "convTranspose1d": transposed(F.conv_transpose1d),
    "convTranspose2d": transposed(F.conv_transpose2d),
    "maxPool1d": pool(F.max_pool1d),
    "avgPool1d": pool(F.avg_pool1d),
    "maxPool2d": pool(F.max_pool2d),
    "avgPool2d": pool(F.avg_pool2d),
    "adaptiveAvgPool1d": pool(F.adaptive_avg_pool1d),
    "adaptiveAvgPool2d": pool(F.adaptive_avg_pool2d),
    "interpolate": interpolate,
    "crossEntropy": cross_entropy,
    "mse": lambda a, b, reduction="mean": F.mse_loss(a, b, reduction=reduction),
    "huber": lambda a, b, reduction="mean", delta=1.0: F.huber_loss(a, b, reduction=reduction, delta=delta),
    "bceWithLogits": lambda a, b, reduction="mean": F.binary_cross_entropy_with_logits(a, b, reduction=reduction),
    "bceWithLogits, weighted": weighted_bce,
    "klDiv": lambda a, b, reduction="mean", logTarget=False: F.kl_div(
        a, b, reduction={"batchMean": "batchmean"}.get(reduction, reduction), log_target=logTarget
    ),
    "glu": lambda x, axis=-1: F.glu(x, axis),
    "leakyRelu": lambda x: F.leaky_relu(x),
    "elu": lambda x: F.elu(x),
    "hardSwish": lambda x: F.hardswish(x),
}

REDUCTIONS = ("mean", "sum", "none")
UP = {"low": -4.0, "high": 4.0}
PROBABILITY = {"low": 0.05, "high": 0.95}
LOG = {"low": -4.0, "high": -0.1}


def of(*shape, **bounds):
    return {"shape": list(shape), **bounds}


CASES = [
    # op, inputs, what stands after them in the call, options
    ("conv1d", [of(2, 9, 4), of(6, 3, 2)], [], {"groups": 2, "stride": 2, "padding": 1}),
    ("conv1d", [of(2, 12, 5), of(5, 7, 1)], [], {"groups": 5, "padding": "same"}),
    ("conv1d", [of(2, 12, 3), of(6, 4, 1)], [], {"groups": 3, "padding": "same", "dilation": 3}),
    ("conv1d", [of(2, 8, 3), of(2, 3, 3)], [], {"padding": "causal", "dilation": 2}),
    ("conv1d", [of(1, 11, 4), of(4, 5, 1)], [], {"padding": "causal", "stride": 3, "groups": 4}),
    ("conv1d", [of(1, 8, 3), of(2, 4, 3)], [], {"padding": "same"}),
    ("conv2d", [of(2, 5, 4, 6), of(9, 2, 3, 2)], [], {"groups": 3, "padding": [1, 1], "stride": [2, 1]}),
    ("conv2d", [of(1, 6, 7, 5), of(5, 3, 3, 1)], [], {"groups": 5, "stride": [1, 2], "padding": [1, 0], "dilation": [2, 1]}),
    ("conv2d", [of(1, 4, 5, 2), of(4, 2, 2, 1)], [], {"groups": 2, "padding": "same"}),
    ("convTranspose1d", [of(2, 5, 3), of(4, 4, 3)], [], {"stride": 2, "padding": 1}),
    ("convTranspose1d", [of(1, 4, 4), of(6, 3, 2)], [], {"stride": 3, "outputPadding": 2, "groups": 2}),
    ("convTranspose1d", [of(2, 5, 3), of(3, 3, 1)], [], {"stride": 2, "dilation": 3, "padding": 2, "outputPadding": 1, "groups": 3}),
    ("convTranspose2d", [of(1, 3, 4, 2), of(3, 3, 2, 2)], [], {"stride": [2, 3], "padding": [1, 0], "outputPadding": [1, 2]}),
    ("convTranspose2d", [of(2, 3, 2, 4), of(4, 2, 3, 1)], [], {"stride": [2, 1], "padding": [0, 1], "groups": 4}),
    ("maxPool1d", [of(2, 9, 3)], [3], {"stride": 2, "padding": 1}),
    ("maxPool1d", [of(2, 9, 3)], [2], {}),
    ("avgPool1d", [of(2, 9, 3)], [3], {"stride": 2, "padding": 1}),
    ("maxPool2d", [of(1, 5, 6, 2)], [[3, 2]], {"stride": [2, 1], "padding": [1, 1]}),
    ("avgPool2d", [of(1, 5, 6, 2)], [[3, 2]], {"stride": [2, 1], "padding": [1, 1]}),
    ("adaptiveAvgPool1d", [of(2, 7, 3)], [3], {}),
    ("adaptiveAvgPool1d", [of(2, 3, 2)], [5], {}),
    ("adaptiveAvgPool2d", [of(1, 5, 7, 2)], [[2, 4]], {}),
    ("interpolate", [of(2, 5, 3)], [], {"size": 8}),
    ("interpolate", [of(2, 5, 3)], [], {"size": 8, "alignCorners": True}),
    ("interpolate", [of(2, 9, 2)], [], {"scale": 0.6}),
    ("interpolate", [of(2, 5, 3)], [], {"scale": 1.7, "axis": -1}),
    ("interpolate", [of(2, 5, 3)], [], {"scale": 2.5, "alignCorners": True}),
    *[("crossEntropy", [of(5, 4, **UP)], [[3, 0, -100, 1, 2]], {"reduction": r}) for r in REDUCTIONS],
    *[
        (
            "crossEntropy",
            [of(2, 4, 3, **UP)],
            [[[3, 0, 7], [2, 7, 1]]],
            {"axis": 1, "ignoreIndex": 7, "labelSmoothing": 0.2, "weight": [0.5, 1.0, 2.0, 0.25], "reduction": r},
        )
        for r in REDUCTIONS
    ],
    *[("mse", [of(3, 4), of(3, 4)], [], {"reduction": r}) for r in REDUCTIONS],
    *[("huber", [of(3, 4, **UP), of(3, 4)], [], {"reduction": r, "delta": 1.3}) for r in REDUCTIONS],
    *[("bceWithLogits", [of(3, 4, **UP), of(3, 4, **PROBABILITY)], [], {"reduction": r}) for r in REDUCTIONS],
    *[
        ("bceWithLogits, weighted", [of(3, 4, **UP), of(3, 4, **PROBABILITY), of(4, **PROBABILITY), of(3, 1, **PROBABILITY)], [], {"reduction": r})
        for r in REDUCTIONS
    ],
    *[("klDiv", [of(3, 4, **LOG), of(3, 4, **PROBABILITY)], [], {"reduction": r}) for r in (*REDUCTIONS, "batchMean")],
    *[("klDiv", [of(3, 4, **LOG), of(3, 4, **LOG)], [], {"reduction": r, "logTarget": True}) for r in (*REDUCTIONS, "batchMean")],
    ("glu", [of(3, 6)], [], {}),
    ("glu", [of(4, 3)], [], {"axis": 0}),
    *[(op, [of(3, 7, **UP)], [], {}) for op in ("leakyRelu", "elu", "hardSwish")],
]


def rounded(tensor):
    return [float(f"{value:.9g}") for value in tensor.flatten().tolist()]


def fact(op, inputs, between, given):
    tensors = [
        wave(spec["shape"], 0.3 + i, spec.get("low", -1.0), spec.get("high", 1.0)).requires_grad_()
        for i, spec in enumerate(inputs)
    ]
    if op == "crossEntropy":
        weight = torch.tensor(given["weight"]) if "weight" in given else None
        rest = {key: value for key, value in given.items() if key != "weight"}
        result = cross_entropy(*tensors, weight=weight, targets=torch.tensor(between[0]).flatten().tolist(), **rest)
    else:
        result = OPS[op](*tensors, *between, **given)
    # The cotangent: numbers of both signs.
    cotangent = wave(list(result.shape), 2.0)
    gradients = torch.autograd.grad(result, tensors, cotangent, allow_unused=False)
    return {
        "op": op,
        "inputs": inputs,
        "between": between,
        "options": given,
        "shape": list(result.shape),
        "values": rounded(result),
        "gradients": [rounded(g) for g in gradients],
    }


if __name__ == "__main__":
    facts = {"torch": torch.__version__, "facts": [fact(*case) for case in CASES]}
    lines = ",\n".join(json.dumps(one) for one in facts["facts"])
    out = pathlib.Path(__file__).with_name("convs.json")
    out.write_text(f'{{\n"torch": "{facts["torch"]}",\n"facts": [\n{lines}\n]\n}}\n')
    print(f"{len(CASES)} cases, {out.stat().st_size} bytes")
