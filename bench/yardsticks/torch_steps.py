"""The models of bench/steps.mjs in torch, each as a function that makes one training step: forward, loss, backward, AdamW."""

import torch
from torch import nn
from torch.nn import functional as F


class Recurrent(nn.Module):
    """A BiLSTM's output without its state, as a stage of a sequence."""

    def __init__(self, features, hidden):
        super().__init__()
        self.lstm = nn.LSTM(features, hidden, batch_first=True, bidirectional=True)

    def forward(self, x):
        return self.lstm(x)[0]


class Call(nn.Module):
    def __init__(self, f):
        super().__init__()
        self.f = f

    def forward(self, x):
        return self.f(x)


class Block(nn.Module):
    def __init__(self, features, heads):
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(features), nn.LayerNorm(features)
        self.qkv, self.out = nn.Linear(features, 3 * features), nn.Linear(features, features)
        self.up, self.down = nn.Linear(features, 4 * features), nn.Linear(4 * features, features)

    def forward(self, x, mask):
        n, t, features = x.shape
        q, k, v = self.qkv(self.before(x)).reshape(n, t, 3, self.heads, features // self.heads).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-1, -2) * (features // self.heads) ** -0.5 + mask
        x = x + self.out((scores.softmax(-1) @ v).permute(0, 2, 1, 3).reshape(n, t, features))
        return x + self.down(F.gelu(self.up(self.between(x))))


class Transformer(nn.Module):
    def __init__(self, vocabulary, features, heads, blocks, length):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, features)
        self.positions = nn.Parameter(torch.randn(length, features))
        self.blocks = nn.ModuleList(Block(features, heads) for _ in range(blocks))
        self.norm, self.out = nn.LayerNorm(features), nn.Linear(features, vocabulary)
        self.register_buffer("mask", torch.full((length, length), -1e9).triu(1))

    def forward(self, x):
        x = self.tokens(x) + self.positions
        for block in self.blocks:
            x = block(x, self.mask)
        return self.out(self.norm(x))


def step(model, loss_of):
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def run():
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(model)
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


def ctc(model, x, frames, classes, labels):
    batch = x.shape[0]
    targets = torch.randint(1, classes, (batch, labels))
    lengths = torch.full((batch,), frames), torch.full((batch,), labels)
    # torch's models give [N, T, C]; its loss wants frames first.
    return step(model, lambda m: F.ctc_loss(m(x).permute(1, 0, 2).log_softmax(2), targets, *lengths))


def digits(batch, width, labels):
    features = 7 * 16
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2),
        Call(lambda x: x.permute(0, 1, 3, 2).reshape(x.shape[0], features, x.shape[2])),
        nn.Conv1d(features, 96, 3, padding="same"),
        Call(lambda x: x.permute(0, 2, 1)), nn.LayerNorm(96), nn.ReLU(), Call(lambda x: x.permute(0, 2, 1)),
        nn.Conv1d(96, 96, 3, padding="same"), nn.ReLU(), Call(lambda x: x.permute(0, 2, 1)),
        nn.Linear(96, 11),
    )
    return ctc(model, torch.randn(batch, 1, width, 28), width // 4, 11, labels)


def speech(batch, frames, mels, classes, labels):
    convolution = lambda features: [nn.Conv1d(features, 128, 5, padding="same"), nn.ReLU()]
    model = nn.Sequential(
        *convolution(mels), *convolution(128), *convolution(128), *convolution(128),
        Call(lambda x: x.permute(0, 2, 1)), nn.Linear(128, classes),
    )
    return ctc(model, torch.randn(batch, mels, frames), frames, classes, labels)


def crnn(batch, width, height, classes, labels):
    features = height // 4 * 32
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2),
        Call(lambda x: x.permute(0, 2, 3, 1).reshape(x.shape[0], x.shape[2], features)),
        Recurrent(features, 128), Recurrent(256, 128), nn.Linear(256, classes),
    )
    return ctc(model, torch.randn(batch, 1, width, height), width // 4, classes, labels)


def transformer(batch, length, features, heads, blocks, vocabulary):
    tokens, targets = (torch.randint(0, vocabulary, (batch, length)) for _ in range(2))
    model = Transformer(vocabulary, features, heads, blocks, length)
    return step(model, lambda m: F.cross_entropy(m(tokens).reshape(-1, vocabulary), targets.reshape(-1)))


def mlp(batch):
    x, targets = torch.randn(batch, 784), torch.randint(0, 10, (batch,))
    model = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))
    return step(model, lambda m: F.cross_entropy(m(x), targets))
