//! The transforms of minimal filtering, F(4, 3) at the points 0, 1, -1, 2, -2 and infinity, along one side and along
//! both.

use std::array::from_fn;
use std::marker::PhantomData;

use pulp::{Arch, Simd, WithSimd};

/// A transform of `N` numbers to `M`, of many side by side.
pub(super) trait Line<const N: usize, const M: usize> {
    fn of<S: Simd>(simd: S, x: [S::f32s; N]) -> [S::f32s; M];
}

/// `Bᵀ d`: six neighbouring inputs.
pub(super) struct Inputs;

/// `Aᵀ m`: four neighbouring outputs.
pub(super) struct Outputs;

/// `A p`: what pulls at four neighbouring outputs.
pub(super) struct Pulls;

/// `G g`: three weights.
struct Weights;

/// `Gᵀ s`: what pulls at three weights.
struct Sums;

impl Line<6, 6> for Inputs {
    #[inline(always)]
    fn of<S: Simd>(simd: S, x: [S::f32s; 6]) -> [S::f32s; 6] {
        let plus = |factor, a, b| simd.mul_add_e_f32s(simd.splat_f32s(factor), a, b);
        let [a, b] = [plus(-4.0, x[2], x[4]), plus(-4.0, x[1], x[3])];
        let [c, d] = [simd.sub_f32s(x[4], x[2]), simd.sub_f32s(x[3], x[1])];
        [
            plus(4.0, simd.sub_f32s(x[0], x[2]), c),
            simd.add_f32s(a, b),
            simd.sub_f32s(a, b),
            plus(2.0, d, c),
            plus(-2.0, d, c),
            plus(-4.0, d, simd.sub_f32s(x[5], x[3])),
        ]
    }
}

impl Line<6, 4> for Outputs {
    #[inline(always)]
    fn of<S: Simd>(simd: S, x: [S::f32s; 6]) -> [S::f32s; 4] {
        let plus = |factor, a, b| simd.mul_add_e_f32s(simd.splat_f32s(factor), a, b);
        let [near, near_odd] = [simd.add_f32s(x[1], x[2]), simd.sub_f32s(x[1], x[2])];
        let [far, far_odd] = [simd.add_f32s(x[3], x[4]), simd.sub_f32s(x[3], x[4])];
        [
            simd.add_f32s(simd.add_f32s(x[0], near), far),
            plus(2.0, far_odd, near_odd),
            plus(4.0, far, near),
            simd.add_f32s(plus(8.0, far_odd, near_odd), x[5]),
        ]
    }
}

impl Line<4, 6> for Pulls {
    #[inline(always)]
    fn of<S: Simd>(simd: S, x: [S::f32s; 4]) -> [S::f32s; 6] {
        let plus = |factor, a, b| simd.mul_add_e_f32s(simd.splat_f32s(factor), a, b);
        let [near, near_odd] = [simd.add_f32s(x[0], x[2]), simd.add_f32s(x[1], x[3])];
        let [far, far_odd] = [plus(4.0, x[2], x[0]), plus(4.0, x[3], x[1])];
        [
            x[0],
            simd.add_f32s(near, near_odd),
            simd.sub_f32s(near, near_odd),
            plus(2.0, far_odd, far),
            plus(-2.0, far_odd, far),
            x[3],
        ]
    }
}

impl Line<3, 6> for Weights {
    #[inline(always)]
    fn of<S: Simd>(simd: S, [a, b, c]: [S::f32s; 3]) -> [S::f32s; 6] {
        // Divided, not multiplied by a rounded sixth, whose error would add up over the channels.
        let part = |a, n| simd.div_f32s(a, simd.splat_f32s(n));
        let far = simd.mul_add_e_f32s(simd.splat_f32s(4.0), c, a);
        let [near, far] = [part(simd.add_f32s(a, c), -6.0), part(far, 24.0)];
        let [near_odd, far_odd] = [part(b, 6.0), part(b, 12.0)];
        [
            part(a, 4.0),
            simd.sub_f32s(near, near_odd),
            simd.add_f32s(near, near_odd),
            simd.add_f32s(far, far_odd),
            simd.sub_f32s(far, far_odd),
            c,
        ]
    }
}

impl Line<6, 3> for Sums {
    #[inline(always)]
    fn of<S: Simd>(simd: S, x: [S::f32s; 6]) -> [S::f32s; 3] {
        let part = |a, n| simd.div_f32s(a, simd.splat_f32s(n));
        let near = part(simd.add_f32s(x[1], x[2]), -6.0);
        let near_odd = part(simd.sub_f32s(x[2], x[1]), 6.0);
        let [far, far_odd] = [simd.add_f32s(x[3], x[4]), simd.sub_f32s(x[3], x[4])];
        let [first, last] = [
            simd.add_f32s(part(x[0], 4.0), near),
            simd.add_f32s(near, x[5]),
        ];
        [
            simd.add_f32s(first, part(far, 24.0)),
            simd.add_f32s(near_odd, part(far_odd, 12.0)),
            simd.add_f32s(last, part(far, 6.0)),
        ]
    }
}

/// Windows that are transformed side by side.
const RUN: usize = 256;

/// `G g Gᵀ` of every window, `[element, window]`.
pub(super) fn transformed(weight: &[f32]) -> Vec<f32> {
    let n = weight.len() / 9;
    let mut elements = vec![0.0f32; 36 * n];
    let [mut places, mut between] = [vec![0.0; 9 * RUN], vec![0.0; 18 * RUN]];
    for (run, windows) in weight.chunks(9 * RUN).enumerate() {
        let len = windows.len() / 9;
        for (place, values) in places.chunks_exact_mut(len).take(9).enumerate() {
            let windows = windows.iter().skip(place).step_by(9);
            values
                .iter_mut()
                .zip(windows)
                .for_each(|(to, from)| *to = *from);
        }
        let to = Planes {
            stride: n,
            start: run * RUN,
        };
        let from = (places.as_slice(), Planes::one_after_the_other(len));
        both_ways::<Weights, 3, 6>(from, (&mut elements, to), &mut between, len);
    }
    elements
}

/// `Gᵀ s G` of the `[element, window]` sums of every window.
pub(super) fn windows(sums: &[f32]) -> Vec<f32> {
    let n = sums.len() / 36;
    let mut weight = vec![0.0f32; 9 * n];
    let [mut places, mut between] = [vec![0.0; 9 * RUN], vec![0.0; 18 * RUN]];
    for (run, windows) in weight.chunks_mut(9 * RUN).enumerate() {
        let len = windows.len() / 9;
        let from = Planes {
            stride: n,
            start: run * RUN,
        };
        let to = (places.as_mut_slice(), Planes::one_after_the_other(len));
        both_ways::<Sums, 6, 3>((sums, from), to, &mut between, len);
        for (place, values) in places.chunks_exact(len).take(9).enumerate() {
            let windows = windows.iter_mut().skip(place).step_by(9);
            windows.zip(values).for_each(|(to, from)| *to = *from);
        }
    }
    weight
}

/// Where the planes of elements lie: one every `stride` values, each from `start` on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planes {
    pub(super) stride: usize,
    pub(super) start: usize,
}

impl Planes {
    /// Planes of so many values without a gap.
    pub(super) fn one_after_the_other(len: usize) -> Self {
        Self {
            stride: len,
            start: 0,
        }
    }
}

/// Transforms the tiles of `from`, `N × N` planes of so many numbers, down their columns and along their rows to
/// `M × M` planes in `to`. `between` has room for `M × N` of them.
pub(super) fn both_ways<L: Line<N, M>, const N: usize, const M: usize>(
    (from, from_planes): (&[f32], Planes),
    (to, to_planes): (&mut [f32], Planes),
    between: &mut [f32],
    len: usize,
) {
    let between = &mut between[..M * N * len];
    for column in 0..N {
        let x = from_fn(|row| {
            let start = (row * N + column) * from_planes.stride + from_planes.start;
            &from[start..][..len]
        });
        let mut planes = between.chunks_exact_mut(len).skip(column).step_by(N);
        let y = from_fn(|_| planes.next().expect("M rows of N planes"));
        Arch::new().dispatch(OneWay::<L, N, M>(x, y, PhantomData));
    }
    for (row, between) in between.chunks_exact(N * len).enumerate() {
        let x = from_fn(|column| &between[column * len..][..len]);
        let mut planes = to.chunks_mut(to_planes.stride).skip(row * M);
        let y = from_fn(|_| {
            let plane = planes.next().expect("M rows of M planes");
            &mut plane[to_planes.start..][..len]
        });
        Arch::new().dispatch(OneWay::<L, N, M>(x, y, PhantomData));
    }
}

/// A transform of `N` runs of numbers to `M`, place by place.
struct OneWay<'a, L, const N: usize, const M: usize>(
    [&'a [f32]; N],
    [&'a mut [f32]; M],
    PhantomData<L>,
);

impl<L: Line<N, M>, const N: usize, const M: usize> WithSimd for OneWay<'_, L, N, M> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self(x, y, _) = self;
        let n = x[0].len() / S::F32_LANES;
        let x = x.map(
            #[inline(always)]
            |x| S::as_simd_f32s(x),
        );
        let mut y = y.map(
            #[inline(always)]
            |y| S::as_mut_simd_f32s(y),
        );
        let x_heads: [&[S::f32s]; N] = from_fn(|i| &x[i].0[..n]);
        #[expect(
            clippy::needless_range_loop,
            reason = "several runs are read and written at one place"
        )]
        for place in 0..n {
            let values = L::of(simd, from_fn(|i| x_heads[i][place]));
            for (y, value) in y.iter_mut().zip(values) {
                y.0[place] = value;
            }
        }
        let values = L::of(simd, from_fn(|i| simd.partial_load_f32s(x[i].1)));
        for (y, value) in y.iter_mut().zip(values) {
            simd.partial_store_f32s(y.1, value);
        }
    }
}
