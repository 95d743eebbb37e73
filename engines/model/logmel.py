"""Log-mel features as a graph: a framed DFT by convolution, then librosa's mel filters."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from librosa.filters import get_window
from librosa.filters import mel as mel_filters
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class MelSpec:
    """The features of the starter's audio tower, in librosa's terms (natural log of power + ``floor``)."""

    n_fft: int = 400
    hop_length: int = 200
    n_mels: int = 40
    fmin: float = 60.0
    fmax: float = 5600.0
    floor: float = 1e-4


class LogMel(nn.Module):
    """Samples in int16 units [B, n] → log-mel [B, mels, 1 + n // hop], as librosa's centred melspectrogram.

    Only the DFT bins that a mel filter uses are computed.
    """

    dft: Tensor
    mel: Tensor

    def __init__(self, rate: int, spec: MelSpec | None = None) -> None:
        super().__init__()
        self.spec = spec or MelSpec()
        filters = mel_filters(
            sr=rate, n_fft=self.spec.n_fft, n_mels=self.spec.n_mels, fmin=self.spec.fmin, fmax=self.spec.fmax
        )
        used = np.flatnonzero(filters.any(axis=0))
        low, high = int(used[0]), int(used[-1]) + 1
        self.register_buffer("dft", torch.from_numpy(_dft(self.spec.n_fft, low, high)))
        self.register_buffer("mel", torch.from_numpy(filters[:, low:high].astype(np.float32)).unsqueeze(-1))

    def forward(self, samples: Tensor) -> Tensor:
        """float32 [B, n] → float32 [B, mels, frames]."""
        half = self.spec.n_fft // 2
        padded = nn.functional.pad(samples * (1.0 / 32768.0), (half, half)).unsqueeze(1)
        spectrum = nn.functional.conv1d(padded, self.dft, stride=self.spec.hop_length)
        real, imaginary = spectrum.chunk(2, dim=1)
        power = nn.functional.conv1d(real * real + imaginary * imaginary, self.mel)
        return torch.log(power + self.spec.floor)


def _dft(n_fft: int, low: int, high: int) -> np.ndarray:
    """Rows of the windowed DFT, cosines then sines: float32 [2 * bins, 1, n_fft]."""
    window = get_window("hann", n_fft, fftbins=True)
    angle = 2 * np.pi * np.outer(np.arange(low, high), np.arange(n_fft)) / n_fft
    return np.concatenate([np.cos(angle) * window, -np.sin(angle) * window])[:, None].astype(np.float32)
