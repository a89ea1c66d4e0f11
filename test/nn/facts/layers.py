"""What torch gives for the layers that test/nn/facts.test.ts compares with. From the repository: python3 test/nn/facts/layers.py > test/nn/facts/layers.json
and then npx prettier --write test/nn/facts/layers.json.

Written for torch 1.13 (Debian's python3-torch). Everything is float64; inputs and weights are waves, sin(0.7 i + phase), as test/nn/wave.ts makes
them, so that only results are stored. Cotangents are wave(shape, 0.4).
"""

import json
import sys

import torch

torch.set_default_dtype(torch.float64)


def wave(shape, phase, scale=1.0):
    size = 1
    for dim in shape:
        size *= dim
    return (scale * torch.sin(0.7 * torch.arange(size, dtype=torch.float64) + phase)).reshape(shape)


def leaf(t):
    return t.clone().detach().requires_grad_(True)


def facts(result, inputs, more=()):
    """A result with the gradients of its product with a wave."""
    (result * wave(list(result.shape), 0.4)).sum().backward()
    found = {'output': result, **{f'd {name}': t.grad for name, t in inputs.items()}, **dict(more)}
    return {name: t.detach().flatten().tolist() for name, t in found.items()}


def batch_norm(shape, training):
    x, weight, bias = leaf(wave(shape, 0.1, 3) + 1), leaf(wave(shape[-1:], 0.5)), leaf(wave(shape[-1:], 1))
    mean, variance = wave(shape[-1:], 0.2), wave(shape[-1:], 0.3).abs() + 0.5
    flat = x.reshape(-1, shape[-1])
    y = torch.nn.functional.batch_norm(flat, mean, variance, weight, bias, training, 0.2, 1e-3).reshape(shape)
    return facts(y, {'x': x, 'weight': weight, 'bias': bias}, {'mean': mean, 'variance': variance}.items())


def group_norm(shape, groups):
    x, weight, bias = leaf(wave(shape, 0.1, 3) + 1), leaf(wave(shape[-1:], 0.5)), leaf(wave(shape[-1:], 1))
    y = torch.nn.functional.group_norm(x.movedim(-1, 1), groups, weight, bias, 1e-3).movedim(1, -1)
    return facts(y, {'x': x, 'weight': weight, 'bias': bias})


def attention(features, memory_features, heads, frames, keys, key_lengths, causal):
    cross = keys is not None
    x = leaf(wave([2, frames, features], 0.1))
    memory = leaf(wave([2, keys, memory_features], 0.3)) if cross else x
    module = torch.nn.MultiheadAttention(features, heads, batch_first=True, kdim=memory_features, vdim=memory_features)
    named = {}
    for i, name in enumerate(['query', 'key', 'value', 'output']):
        width = memory_features if name in ('key', 'value') else features
        named[f'{name}.weight'] = wave([features, width], 0.2 + i, 0.8)
        named[f'{name}.bias'] = wave([features], 0.5 + i, 0.3)
    own = dict(module.named_parameters())
    with torch.no_grad():
        if 'in_proj_weight' in own:
            own['in_proj_weight'].copy_(torch.cat([named[f'{name}.weight'] for name in ('query', 'key', 'value')]))
        else:
            for short, name in (('q', 'query'), ('k', 'key'), ('v', 'value')):
                own[f'{short}_proj_weight'].copy_(named[f'{name}.weight'])
        own['in_proj_bias'].copy_(torch.cat([named[f'{name}.bias'] for name in ('query', 'key', 'value')]))
        own['out_proj.weight'].copy_(named['output.weight'])
        own['out_proj.bias'].copy_(named['output.bias'])
    count = keys if cross else frames
    padding = torch.arange(count)[None, :] >= torch.tensor(key_lengths)[:, None]
    mask = ~torch.ones(frames, count, dtype=torch.bool).tril() if causal else None
    y, _ = module(x, memory, memory, key_padding_mask=padding, attn_mask=mask, need_weights=False)
    if not cross:  # frames beyond the lengths are not compared
        y = y.masked_fill(padding[:, :, None], 0)
    result = facts(y, {'x': x, **({'memory': memory} if cross else {})})
    if 'in_proj_weight' in own:
        projections = own['in_proj_weight'].grad.split(features)
    else:
        projections = [own[f'{short}_proj_weight'].grad for short in 'qkv']
    gradients = {
        **{f'd {name}.weight': g for name, g in zip(('query', 'key', 'value'), projections)},
        **{f'd {name}.bias': g for name, g in zip(('query', 'key', 'value'), own['in_proj_bias'].grad.split(features))},
        'd output.weight': own['out_proj.weight'].grad,
        'd output.bias': own['out_proj.bias'].grad,
    }
    return {**result, **{name: g.flatten().tolist() for name, g in gradients.items()}}


def recurrent(kind, gates, layers, directions, lengths, features=2, hidden=3):
    module = getattr(torch.nn, kind)(features, hidden, layers, batch_first=True, bidirectional=directions == 2)
    x = leaf(wave([len(lengths), max(lengths), features], 0.1))
    phase = 0.2
    with torch.no_grad():
        for name, p in module.named_parameters():
            p.copy_(wave(list(p.shape), phase, 0.8))
            phase += 0.3
    initial = [wave([layers * directions, len(lengths), hidden], 0.6 + i, 0.5) for i in range(gates - 2 if gates == 4 else 1)]
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
    out, state = module(packed, tuple(initial) if gates == 4 else initial[0])
    y, _ = torch.nn.utils.rnn.pad_packed_sequence(out, batch_first=True)
    states = state if gates == 4 else (state,)
    result = facts(y, {'x': x}, dict(zip(('hidden', 'cell'), states)).items())
    for name, p in module.named_parameters():
        result[f'd {name}'] = p.grad.flatten().tolist()
    return result


def rounded(numbers):
    return [float(f'{value:.12g}') for value in numbers]


everything = {
    'batchNorm [6,3] training': batch_norm([6, 3], True),
    'batchNorm [6,3] evaluation': batch_norm([6, 3], False),
    'batchNorm [2,3,2,2] training': batch_norm([2, 3, 2, 2], True),
    'groupNorm [2,4,6] in 3': group_norm([2, 4, 6], 3),
    'groupNorm [2,2,3,4] in 2': group_norm([2, 2, 3, 4], 2),
    'attention self': attention(4, 4, 2, 3, None, [3, 2], False),
    'attention causal': attention(6, 6, 3, 4, None, [4, 4], True),
    'attention cross': attention(4, 3, 2, 3, 5, [5, 2], False),
    'gru 2 x 2': recurrent('GRU', 3, 2, 2, [4, 2, 1]),
    'gru 3 x 1': recurrent('GRU', 3, 3, 1, [3, 3]),
    'lstm 2 x 2': recurrent('LSTM', 4, 2, 2, [4, 2, 1]),
    'lstm 2 x 1': recurrent('LSTM', 4, 2, 1, [3, 1]),
}
json.dump({name: {key: rounded(data) for key, data in fact.items()} for name, fact in everything.items()}, sys.stdout, indent=0)
print()
