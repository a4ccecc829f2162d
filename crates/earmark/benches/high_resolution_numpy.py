"""Linear reassignment in plain NumPy, as one writes it from the paper: the clock that the Rust
implementation is held against.

    high_resolution_numpy.py SAMPLES.f32 HISTOGRAM.f64 q tdeci over noct minf maxf

Reads the samples, writes the raw histogram [frame, band] and prints the seconds that it took.
T. Gardner and M. Magnasco, "Sparse time-frequency representations", PNAS 103:6094 (2006).
"""

import sys
import time

import numpy as np


def histogram(x, q, tdeci, over, noct, minf, maxf):
    n = len(x)
    n_frames = int(np.ceil(n / tdeci))
    n_bands = int(np.ceil(noct * np.log2(maxf / minf) + 1))
    # The published program rounds noct here, and only here.
    noct = float(np.float32(noct))
    spectrum = np.fft.fft(x)
    nu = np.arange(n) / n
    nu[nu > 0.5] -= 1
    time_of = np.arange(1, n + 1)
    energy = np.zeros((n_frames, n_bands))
    for k in range(n_bands * over):
        f0 = minf * 2 ** (k / (over * noct))
        sigma = f0 / (2 * np.pi * q)
        distance = (nu - f0) / sigma
        gaussian = np.exp(-(distance**2) / 2)
        xi = np.fft.ifft(gaussian * spectrum)
        eta = np.fft.ifft(-distance * gaussian * spectrum)
        with np.errstate(all="ignore"):
            m = eta / (xi + 1e-20)
        t = time_of + np.imag(m) / (2 * np.pi * sigma)
        f = f0 - sigma * np.real(m)
        keep = (np.abs(m) < 0.5) & (f > minf) & (f < maxf) & (t >= 1) & (t < n)
        row = np.rint(t[keep] / tdeci + 0.5).astype(int) - 1
        column = np.rint(-noct * np.log2(f[keep] / maxf) + 1).astype(int) - 1
        np.add.at(energy, (row, column), np.abs(xi[keep]) ** 2)
    return energy


def main():
    samples, out = sys.argv[1:3]
    q, tdeci, over, noct, minf, maxf = map(float, sys.argv[3:9])
    x = np.fromfile(samples, dtype="<f4").astype(np.float64)
    start = time.perf_counter()
    energy = histogram(x, q, int(tdeci), int(over), noct, minf, maxf)
    print(time.perf_counter() - start)
    energy.astype("<f8").tofile(out)


if __name__ == "__main__":
    main()
