//! Pictures of another size.

use crate::features::matrix::Matrix;
use crate::features::step::ResizeMethod;

/// Where a cell of the new picture takes its value from: two cells and the second's share.
fn sources(n_old: usize, n_new: usize, method: ResizeMethod) -> Vec<(usize, usize, f32)> {
    let last = n_old - 1;
    let place = |i: usize| (i as f64 + 0.5) * n_old as f64 / n_new as f64;
    let source = |i: usize| match method {
        ResizeMethod::Nearest | ResizeMethod::Area => {
            let cell = (place(i).floor() as usize).min(last);
            (cell, cell, 0.0)
        }
        ResizeMethod::Linear => {
            let centre = (place(i) - 0.5).clamp(0.0, last as f64);
            let below = centre.floor();
            let cell = below as usize;
            (cell, (cell + 1).min(last), (centre - below) as f32)
        }
    };
    (0..n_new).map(source).collect()
}

/// A picture of another size; empty pictures stay empty.
pub(super) fn resize(
    matrix: &Matrix,
    n_bands: usize,
    n_frames: usize,
    method: ResizeMethod,
) -> Matrix {
    let mut out = Matrix::zeros(n_bands, n_frames);
    if matrix.n_frames == 0 {
        return out;
    }
    if method == ResizeMethod::Area {
        return shrink(matrix, out);
    }
    let of_frames = sources(matrix.n_frames, n_frames, method);
    let of_bands = sources(matrix.n_bands, n_bands, method);
    let mix = |a: f32, b: f32, share: f32| a + share * (b - a);
    for (band, (low, high, band_share)) in of_bands.into_iter().enumerate() {
        let (low, high) = (matrix.row(low), matrix.row(high));
        let row = out.row_mut(band);
        for (value, (left, right, share)) in row.iter_mut().zip(&of_frames) {
            let below = mix(low[*left], low[*right], *share);
            let above = mix(high[*left], high[*right], *share);
            *value = mix(below, above, band_share);
        }
    }
    out
}

/// Fills `out` with means over the cells that each of its cells covers: over frames, then over bands.
fn shrink(matrix: &Matrix, mut out: Matrix) -> Matrix {
    let of_frames = covered(matrix.n_frames, out.n_frames);
    let of_bands = covered(matrix.n_bands, out.n_bands);
    let mut sums = vec![0.0_f64; out.n_frames];
    for (band, (first, shares)) in of_bands.iter().enumerate() {
        sums.fill(0.0);
        for (old, band_share) in shares.iter().enumerate() {
            let row = matrix.row(first + old);
            for (sum, (first, shares)) in sums.iter_mut().zip(&of_frames) {
                let cells = row[*first..].iter().zip(shares);
                let mean: f64 = cells.map(|(value, share)| f64::from(*value) * share).sum();
                *sum += band_share * mean;
            }
        }
        let row = out.row_mut(band).iter_mut();
        row.zip(&sums).for_each(|(value, sum)| *value = *sum as f32);
    }
    out
}

/// The old cells that each new cell covers: the first, and the share of each in the mean.
fn covered(n_old: usize, n_new: usize) -> Vec<(usize, Vec<f64>)> {
    let edge = |i: usize| i as f64 * n_old as f64 / n_new as f64;
    let cells = |i: usize| {
        let (start, end) = (edge(i), edge(i + 1));
        let first = (start as usize).min(n_old - 1);
        let last = (end.ceil() as usize).clamp(first + 1, n_old);
        let part = |cell: usize| (end.min((cell + 1) as f64) - start.max(cell as f64)).max(0.0);
        let parts: Vec<f64> = (first..last).map(part).collect();
        let total: f64 = parts.iter().sum();
        (first, parts.into_iter().map(|part| part / total).collect())
    };
    (0..n_new).map(cells).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_of_the_same_size_is_the_same() {
        let picture = Matrix::of(2, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        for method in [
            ResizeMethod::Nearest,
            ResizeMethod::Linear,
            ResizeMethod::Area,
        ] {
            assert_eq!(resize(&picture, 2, 3, method), picture);
        }
    }

    #[test]
    fn linear_resizing_lies_between_the_cells() {
        let line = Matrix::of(1, &[0.0, 10.0]);
        let found = resize(&line, 1, 4, ResizeMethod::Linear);
        assert_eq!(found.data, [0.0, 2.5, 7.5, 10.0]);
        let found = resize(&line, 1, 4, ResizeMethod::Nearest);
        assert_eq!(found.data, [0.0, 0.0, 10.0, 10.0]);
    }

    #[test]
    fn area_resizing_keeps_the_mean() {
        let line = Matrix::of(1, &[0.0, 3.0, 6.0, 0.0, 3.0]);
        let found = resize(&line, 1, 2, ResizeMethod::Area);
        // Two and a half cells each.
        assert_eq!(
            found.data,
            [(0.0 + 3.0 + 3.0) / 2.5, (3.0 + 0.0 + 3.0) / 2.5]
        );
        let square = Matrix::of(2, &[1.0, 2.0, 3.0, 4.0]);
        assert_eq!(resize(&square, 1, 1, ResizeMethod::Area).data, [2.5]);
        assert_eq!(resize(&square, 4, 2, ResizeMethod::Area).row(1), [1.0, 2.0]);
        let wide = Matrix::of(1, &[1.0; 1025]);
        let found = resize(&wide, 1, 96, ResizeMethod::Area);
        assert!(found.data.iter().all(|x| (x - 1.0).abs() < 1e-6));
    }
}
