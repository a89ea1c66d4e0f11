"""Writes facts.json: mel energies and resampled clips as torchaudio computes them in float64, for mel.test.ts and resample.test.ts.

Debian's python3-torchaudio does: /usr/bin/python3 test/data/audio/facts.py
"""
import json
import math
import pathlib

import torch
import torchaudio

torch.set_default_dtype(torch.float64)  # filters and windows as well


def clip(n):
    """The clip that the tests compute, too."""
    return torch.tensor(
        [
            0.3 * math.sin(0.05 * i) + 0.2 * math.sin(0.31 * i + 1e-5 * i * i) + 0.1 * (i * i * 7919 % 1009) / 1009 - 0.05
            for i in range(n)
        ]
    )


def rounded(tensor):
    return [float(f"{value:.13g}") for value in tensor.flatten().tolist()]


def mel(n, rate, n_fft, win_length, hop_length, n_mels, **more):
    transform = torchaudio.transforms.MelSpectrogram(
        rate, n_fft=n_fft, win_length=win_length, hop_length=hop_length, n_mels=n_mels, **more
    )
    values = transform(clip(n)).clamp(min=1e-10).log().T
    return {
        "n": n,
        "rate": rate,
        "fftSize": n_fft,
        "window": win_length,
        "hop": hop_length,
        "bins": n_mels,
        "fMin": more.get("f_min", 0),
        "fMax": more.get("f_max", rate / 2),
        "scale": more.get("mel_scale", "htk"),
        "equalArea": more.get("norm") == "slaney",
        "center": more.get("center", True),
        "shape": list(values.shape),
        "values": rounded(values),
    }


def resample(n, start, to, **more):
    values = torchaudio.functional.resample(clip(n), start, to, **more)
    return {
        "n": n,
        "from": start,
        "to": to,
        "zeros": more.get("lowpass_filter_width", 6),
        "rolloff": more.get("rolloff", 0.99),
        "window": "kaiser" if more.get("resampling_method") == "kaiser_window" else "hann",
        "values": rounded(values),
    }


facts = {
    "torchaudio": torchaudio.__version__,
    "mel": [
        mel(1000, 16000, 512, 400, 160, 80),
        mel(700, 8000, 256, 200, 80, 40),
        mel(1500, 22050, 1024, 551, 221, 64, mel_scale="slaney", norm="slaney"),
        mel(1300, 16000, 400, 400, 200, 23, f_min=125.0, f_max=3800.0, mel_scale="slaney"),
        mel(900, 8000, 300, 200, 100, 20, center=False, f_min=60.0),
        mel(600, 8000, 225, 201, 67, 16, norm="slaney"),
    ],
    "resample": [
        resample(200, 16000, 8000),
        resample(100, 8000, 16000),
        resample(150, 44100, 16000),
        resample(60, 16000, 44100),
        resample(90, 11025, 8000, lowpass_filter_width=16, rolloff=0.9),
        resample(
            120,
            48000,
            44100,
            lowpass_filter_width=64,
            rolloff=0.9475937167399596,
            resampling_method="kaiser_window",
        ),
        resample(30, 8000, 8191),
    ],
}
path = pathlib.Path(__file__).with_name("facts.json")
path.write_text(json.dumps(facts, separators=(",", ":")) + "\n")
