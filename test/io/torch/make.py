"""Writes the files beside it: state_dicts of torch modules as safetensors, and what the modules give, for torch.test.ts.

    /usr/bin/python3 test/io/torch/make.py

Made with Debian's python3-torch, 1.13. The container is written here by its definition (eight bytes with the header's length, the header, the
data), so that nothing but torch is needed.
"""

import json
import struct
from pathlib import Path

import torch
from torch import nn

HERE = Path(__file__).parent
DTYPES = {torch.float32: "F32", torch.float64: "F64", torch.float16: "F16", torch.int64: "I64", torch.uint8: "U8"}


def save(name, tensors):
    header, data = {}, b""
    for key, tensor in tensors.items():
        content = tensor.detach().contiguous().numpy().tobytes()
        header[key] = {
            "dtype": DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [len(data), len(data) + len(content)],
        }
        data += content
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    (HERE / name).write_bytes(struct.pack("<Q", len(text)) + text + data)


def keep(name, module, facts, extra=None):
    module.eval()
    save(f"{name}.safetensors", {**module.state_dict(), **(extra or {})})
    with torch.no_grad():
        save(f"{name}.facts.safetensors", facts(module))


class Recogniser(nn.Module):
    """Convolutions, norms with running statistics, two bidirectional layers of GRU, a head."""

    def __init__(self):
        super().__init__()
        self.front = nn.Sequential(
            nn.Conv1d(5, 8, 3, stride=2, padding=1), nn.BatchNorm1d(8), nn.ReLU(), nn.Conv1d(8, 6, 4, bias=False)
        )
        self.rnn = nn.GRU(6, 7, num_layers=2, bidirectional=True, batch_first=True)
        self.norm = nn.LayerNorm(14)
        self.head = nn.Linear(14, 4)

    def forward(self, x):
        y = self.front(x.transpose(1, 2)).transpose(1, 2)
        return self.head(self.norm(self.rnn(y)[0]))


def recogniser():
    model = Recogniser()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(5):  # so that statistics and norms are not those of the start
        optimizer.zero_grad()
        model(torch.randn(4, 20, 5) * 2 + 1).square().mean().backward()
        optimizer.step()
    x = torch.randn(2, 17, 5)
    keep("recogniser", model, lambda m: {"x": x, "y": m(x)})


def images():
    model = nn.Sequential(nn.Conv2d(3, 4, (3, 2), padding=(1, 0)), nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3))
    for _ in range(3):
        model(torch.randn(3, 3, 8, 9) + 0.5)
    x = torch.randn(2, 3, 7, 8)
    keep("images", model, lambda m: {"x": x, "y": m(x)})


def recurrent():
    model = nn.ModuleDict(
        {
            "lstm": nn.LSTM(3, 5, batch_first=True),
            "plain": nn.GRU(3, 4, bias=False, batch_first=True),
            "deep": nn.LSTM(3, 4, num_layers=3, batch_first=True),
            "both": nn.LSTM(3, 4, bidirectional=True, batch_first=True),
            "cell": nn.GRUCell(3, 4),
        }
    )
    x = torch.randn(2, 6, 3)

    def facts(m):
        state = torch.zeros(2, 4)
        for t in range(6):
            state = m["cell"](x[:, t], state)
        return {"x": x, "cell": state, **{name: m[name](x)[0] for name in ("lstm", "plain", "deep", "both")}}

    keep("recurrent", model, facts)


def attention():
    model = nn.ModuleDict(
        {
            "self": nn.MultiheadAttention(8, 2, batch_first=True),
            "cross": nn.MultiheadAttention(8, 4, kdim=5, vdim=5, batch_first=True),
            "bare": nn.MultiheadAttention(8, 2, bias=False, batch_first=True),
            "head": nn.ModuleDict({"out_proj": nn.Linear(8, 3)}),
        }
    )
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.normal_()  # torch starts these biases with zeros
    x, memory = torch.randn(2, 6, 8), torch.randn(2, 4, 5)

    def facts(m):
        m["bare"].train()  # what this torch does in evaluation wants a bias
        return {
            "x": x,
            "memory": memory,
            "self": m["self"](x, x, x)[0],
            "cross": m["cross"](x, memory, memory)[0],
            "bare": m["bare"](x, x, x)[0],
            "head": m["head"]["out_proj"](x),
        }

    keep("attention", model, facts)


def transposed():
    model = nn.ModuleDict(
        {
            "up": nn.ConvTranspose1d(4, 6, 3, stride=2, padding=1, output_padding=1),
            "grouped": nn.ConvTranspose1d(4, 6, 3, stride=2, groups=2),
            "image": nn.ConvTranspose2d(3, 2, (2, 3), stride=(1, 2)),
            "depthwise": nn.Conv1d(4, 8, 3, groups=4),
        }
    )
    x, image = torch.randn(2, 4, 5), torch.randn(1, 3, 4, 5)
    keep(
        "transposed",
        model,
        lambda m: {
            "x": x,
            "pixels": image,
            "image": m["image"](image),
            **{name: m[name](x) for name in ("up", "grouped", "depthwise")},
        },
    )


def integers():
    model = nn.Sequential(nn.Embedding(7, 3), nn.Linear(3, 2))
    ids = torch.tensor([[1, 5, 0], [6, 6, 2]])
    extra = {"ids": ids, "bytes": torch.tensor([0, 255], dtype=torch.uint8), "half": torch.tensor([0.5, -2.0]).half()}
    keep("integers", model, lambda m: {"y": m(ids)}, extra)
    save("large.safetensors", {"weight": torch.ones(2), "step": torch.tensor([1, -(2**31), 2**31])})


for seed, make in enumerate((recogniser, images, recurrent, attention, transposed, integers)):
    torch.manual_seed(seed)
    make()
