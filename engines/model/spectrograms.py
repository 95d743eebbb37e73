"""Log-mel features of Whisper, AST and CLAP as graphs, equal to what transformers computes."""

# torch is not installed where the code is checked, so its classes are Any there.
# mypy: allow-subclassing-any, no-warn-return-any

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from transformers.audio_utils import mel_filter_bank

FULL_SCALE: Final = 1.0 / 32768.0
Filters = np.ndarray[Any, np.dtype[Any]]


def heard(samples: Tensor, lengths: Tensor) -> Tensor:
    """Samples in int16 units [B, n] as −1…1, zero from each row's length on."""
    inside = torch.arange(samples.shape[1])[None, :] < lengths[:, None]
    return torch.where(inside, samples * FULL_SCALE, 0.0)


def windowed(samples: Tensor, window: int) -> Tensor:
    """[B, n] cut or filled with zeros to [B, window]."""
    return nn.functional.pad(samples, (0, window))[:, :window]


class Mel(nn.Module):
    """Framed DFT by convolution, power, mel filters: [B, n] → [B, mels, frames].

    ``kernel`` float [2 * bins, frame]: cosines, then sines, window included; ``filters`` float [bins, mels].
    """

    kernel: Tensor
    filters: Tensor

    def __init__(self, kernel: Filters, filters: Filters, hop: int, centred: bool) -> None:
        super().__init__()
        self.register_buffer("kernel", torch.from_numpy(kernel.astype(np.float32)).unsqueeze(1))
        self.register_buffer("filters", torch.from_numpy(filters.T.astype(np.float32)).unsqueeze(-1))
        self.hop, self.margin = hop, kernel.shape[1] // 2 if centred else 0

    def forward(self, samples: Tensor) -> Tensor:
        """``samples`` float32 [B, n] → power float32 [B, mels, frames]."""
        x = samples.unsqueeze(1)
        if self.margin:
            x = nn.functional.pad(x, (self.margin, self.margin), mode="reflect")
        real, imaginary = nn.functional.conv1d(x, self.kernel, stride=self.hop).chunk(2, dim=1)
        return nn.functional.conv1d(real * real + imaginary * imaginary, self.filters)


class WhisperMel(nn.Module):
    """log10 of mel power, at most 8 below the loudest, over a fixed window (`WhisperFeatureExtractor`)."""

    def __init__(self, prepared: dict[str, Any], window: int) -> None:
        super().__init__()
        n_fft, rate = int(prepared.get("n_fft", 400)), int(prepared.get("sampling_rate", 16_000))
        filters = mel_filter_bank(
            1 + n_fft // 2, int(prepared.get("feature_size", 80)), 0.0, 8000.0, rate, "slaney", "slaney"
        )
        self.window = window
        self.mel = Mel(dft(hann(n_fft), n_fft), filters, int(prepared.get("hop_length", 160)), centred=True)

    def forward(self, samples: Tensor, lengths: Tensor) -> Tensor:
        """→ float32 [B, mels, window // hop]."""
        power = self.mel(windowed(heard(samples, lengths), self.window))[:, :, :-1]
        level = torch.log10(power.clamp(min=1e-10))
        loudest = level.amax(dim=(1, 2), keepdim=True)
        return (torch.maximum(level, loudest - 8.0) + 4.0) * 0.25


class KaldiMel(nn.Module):
    """Kaldi's filter banks, of which ``frames`` are kept and normalised (`ASTFeatureExtractor`)."""

    _FRAME, _HOP, _N_FFT = 400, 160, 512

    def __init__(self, prepared: dict[str, Any], frames: int) -> None:
        super().__init__()
        rate, mels = int(prepared.get("sampling_rate", 16_000)), int(prepared.get("num_mel_bins", 128))
        filters = mel_filter_bank(
            self._N_FFT // 2 + 1, mels, 20, rate // 2, rate, None, "kaldi", triangularize_in_mel_space=True
        )
        # Removing the mean and pre-emphasis are linear in a frame, so they go into the DFT's kernel.
        emphasis = np.eye(self._FRAME) - 0.97 * np.eye(self._FRAME, k=-1)
        emphasis[0, 0] = 1 - 0.97
        level = np.eye(self._FRAME) - 1 / self._FRAME
        kernel = dft(np.hanning(self._FRAME), self._N_FFT) @ emphasis @ level
        self.mel = Mel(kernel, filters, self._HOP, centred=False)
        self.frames = frames
        normal = bool(prepared.get("do_normalize", True))
        self.mean = float(prepared.get("mean", -4.2677393)) if normal else 0.0
        self.spread = 2.0 * float(prepared.get("std", 4.5689974)) if normal else 1.0

    def forward(self, samples: Tensor, lengths: Tensor) -> Tensor:
        """→ float32 [B, frames, mels]; frames beyond a row's end are zero before they are normalised."""
        window = self._FRAME + self._HOP * (self.frames - 1)
        level = torch.log(
            self.mel(windowed(heard(samples, lengths), window)).clamp(min=1.192092955078125e-07)
        )
        full = (lengths.to(torch.int64) - (self._FRAME - self._HOP)).clamp(min=0) // self._HOP
        inside = torch.arange(self.frames)[None, None, :] < full[:, None, None]
        return ((torch.where(inside, level, 0.0) - self.mean) / self.spread).transpose(1, 2)


class ClapMel(nn.Module):
    """Mel power in decibel of a sound repeated to fill the window (`ClapFeatureExtractor`, "repeatpad")."""

    def __init__(self, prepared: dict[str, Any]) -> None:
        super().__init__()
        n_fft, rate = int(prepared.get("fft_window_size", 1024)), int(prepared.get("sampling_rate", 48_000))
        fused = prepared.get("truncation", "fusion") == "fusion"
        filters = mel_filter_bank(
            1 + n_fft // 2,
            int(prepared.get("feature_size", 64)),
            float(prepared.get("frequency_min", 0)),
            float(prepared.get("frequency_max", 14_000)),
            rate,
            None if fused else "slaney",
            "htk" if fused else "slaney",
        )
        self.window = round(float(prepared.get("max_length_s", 10)) * rate)
        self.padding = str(prepared.get("padding", "repeatpad"))
        self.mel = Mel(dft(hann(n_fft), n_fft), filters, int(prepared.get("hop_length", 480)), centred=True)

    def forward(self, samples: Tensor, lengths: Tensor) -> Tensor:
        """→ float32 [B, 1, frames, mels]."""
        power = self.mel(self._filled(heard(samples, lengths), lengths))
        return (10.0 * torch.log10(power.clamp(min=1e-10))).transpose(1, 2).unsqueeze(1)

    def _filled(self, samples: Tensor, lengths: Tensor) -> Tensor:
        if self.padding not in ("repeatpad", "repeat"):
            return windowed(samples, self.window)
        length = lengths.to(torch.int64).clamp(min=1, max=self.window).unsqueeze(1)
        place = torch.arange(self.window).unsqueeze(0)
        found = torch.gather(samples, 1, place % length)
        if self.padding == "repeat":
            return found
        whole = torch.full_like(length, self.window) // length * length
        return torch.where(place < whole, found, 0.0)


def hann(size: int) -> Filters:
    """The periodic window."""
    return np.hanning(size + 1)[:-1]


def dft(window: Filters, n_fft: int) -> Filters:
    """Rows of the windowed DFT of a frame filled with zeros to ``n_fft``: float64 [2 * bins, frame]."""
    angle = 2 * np.pi * np.outer(np.arange(n_fft // 2 + 1), np.arange(len(window))) / n_fft
    return np.concatenate([np.cos(angle) * window, -np.sin(angle) * window])
