//! The search itself: a unit embedding and an index in, the cosine of every row out, and of those the
//! highest.

use rayon::prelude::*;

use super::SearchOptions;
use super::file::{IndexFile, Row};
use crate::Result;

/// Rows that one thread reads and compares at a time: with embeddings of some hundred values they
/// stay in its cache.
const BLOCK_ROWS: usize = 256;

/// Sums that a product is divided into, so that the compiler makes vector instructions of the loop over
/// them; 32 are faster than 16, and no slower than instructions chosen at run time.
const N_SUMS: usize = 32;

/// The cosine of every row, `[row]`, on the current rayon pool.
pub(super) fn scores(file: &IndexFile, query: &[f32]) -> Result<Vec<f32>> {
    let dim = query.len();
    let mut scores = vec![0.0_f32; file.rows().len()];
    scores
        .par_chunks_mut(BLOCK_ROWS)
        .enumerate()
        .try_for_each_init(
            || vec![0_u8; BLOCK_ROWS * dim * 2],
            |bytes, (block, scores)| {
                let bytes = &mut bytes[..scores.len() * dim * 2];
                file.read_rows(block * BLOCK_ROWS, bytes)?;
                for (score, row) in scores.iter_mut().zip(bytes.chunks_exact(dim * 2)) {
                    *score = product(row, query);
                }
                Ok::<(), crate::Error>(())
            },
        )?;
    Ok(scores)
}

/// The sum of the products of a row of half-precision numbers, given as bytes, and a query.
fn product(row: &[u8], query: &[f32]) -> f32 {
    let mut sums = [0.0_f32; N_SUMS];
    let (rows, queries) = (
        row.as_chunks::<2>().0.chunks_exact(N_SUMS),
        query.chunks_exact(N_SUMS),
    );
    let rest = rows.remainder().iter().zip(queries.remainder());
    for (halves, query) in rows.zip(queries) {
        for ((sum, half), query) in sums.iter_mut().zip(halves).zip(query) {
            *sum += wide(u16::from_le_bytes(*half)) * query;
        }
    }
    for (sum, (half, query)) in sums.iter_mut().zip(rest) {
        *sum += wide(u16::from_le_bytes(*half)) * query;
    }
    // Halves onto halves, so that the sum's order is fixed.
    let mut n = N_SUMS;
    while n > 1 {
        n /= 2;
        for at in 0..n {
            sums[at] += sums[at + n];
        }
    }
    sums[0]
}

/// A half-precision number from its bits, in instructions that every machine has in vectors: the
/// exponent is moved by a multiplication, which also gets numbers near 0 right. Infinities and NaN, which
/// no index of ours holds, become large numbers.
#[inline(always)]
fn wide(bits: u16) -> f32 {
    /// 2^(127 - 15), the difference of the exponents' biases.
    const BIAS: f32 = f32::from_bits((127 + 112) << 23);
    let bits = u32::from(bits);
    let magnitude = f32::from_bits((bits & 0x7fff) << 13) * BIAS;
    f32::from_bits(magnitude.to_bits() | (bits & 0x8000) << 16)
}

/// The rows with the highest scores, highest first; equal ones in their order.
pub(super) fn nearest(scores: &[f32], rows: &[Row], options: &SearchOptions) -> Vec<(usize, f32)> {
    let mut candidates: Vec<usize> = if options.once_per_recording {
        best_of_each(scores, rows)
    } else {
        (0..rows.len()).collect()
    };
    let order = |a: &usize, b: &usize| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b));
    if candidates.len() > options.top && options.top > 0 {
        candidates.select_nth_unstable_by(options.top - 1, order);
    }
    candidates.truncate(options.top);
    candidates.sort_by(order);
    candidates
        .into_iter()
        .map(|row| (row, scores[row]))
        .collect()
}

/// The first of each recording's best rows. Rows of a recording follow each other.
fn best_of_each(scores: &[f32], rows: &[Row]) -> Vec<usize> {
    let mut best: Vec<usize> = Vec::new();
    for at in 0..rows.len() {
        match best.last_mut() {
            Some(last) if rows[*last].recording == rows[at].recording => {
                if scores[at] > scores[*last] {
                    *last = at;
                }
            }
            _ => best.push(at),
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::f16;
    use proptest::prelude::*;

    #[test]
    fn every_finite_half_is_widened_exactly() {
        for bits in 0..=u16::MAX {
            let half = f16::from_bits(bits);
            if half.is_finite() {
                assert_eq!(wide(bits).to_bits(), half.to_f32().to_bits(), "{half}");
            }
        }
    }

    fn row(recording: u32) -> Row {
        Row {
            recording,
            start_secs: 0.0,
            end_secs: 1.0,
        }
    }

    proptest! {
        #[test]
        fn a_product_is_the_textbooks(
            values in prop::collection::vec((-1.0_f32..1.0, -1.0_f32..1.0), 1..150)
        ) {
            let row: Vec<f16> = values.iter().map(|v| f16::from_f32(v.0)).collect();
            let bytes: Vec<u8> = row.iter().flat_map(|h| h.to_le_bytes()).collect();
            let query: Vec<f32> = values.iter().map(|v| v.1).collect();
            let naive: f64 = row.iter().zip(&query).map(|(a, b)| a.to_f64() * f64::from(*b)).sum();
            prop_assert!((f64::from(product(&bytes, &query)) - naive).abs() < 1e-4);
        }

        #[test]
        fn the_nearest_are_those_of_a_full_sort(
            scores in prop::collection::vec(0_u8..9, 0..40), top in 0_usize..12, each in 1_u32..5
        ) {
            let rows: Vec<Row> = (0..scores.len() as u32).map(|at| row(at / each)).collect();
            let scores: Vec<f32> = scores.into_iter().map(f32::from).collect();
            let mut order: Vec<usize> = (0..rows.len()).collect();
            order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
            let options = |once_per_recording| SearchOptions { top, once_per_recording };
            let found: Vec<usize> = nearest(&scores, &rows, &options(false)).iter().map(|h| h.0).collect();
            prop_assert_eq!(&found[..], &order[..top.min(order.len())]);
            let mut seen = std::collections::BTreeSet::new();
            order.retain(|at| seen.insert(rows[*at].recording));
            let found: Vec<usize> = nearest(&scores, &rows, &options(true)).iter().map(|h| h.0).collect();
            prop_assert_eq!(&found[..], &order[..top.min(order.len())]);
        }
    }
}
