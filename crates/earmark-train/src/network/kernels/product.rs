//! Matrix products into storage that is there already: Burn's allocates, clears and copies what it returns.

use burn::backend::flex::FlexTensor;
use rten_gemm::{GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedAMatrix};
pub(super) use rten_tensor::Matrix;

thread_local! {
    /// The kernel for the instructions that are there.
    static EXECUTOR: GemmExecutor = GemmExecutor::new();
}

/// A left factor that many products share, laid out once for all of them.
pub(super) type Packed = PackedAMatrix<f32>;

/// The matrix of these values, row after row.
pub(super) fn matrix(values: &[f32], shape: [usize; 2]) -> Matrix<'_> {
    Matrix::from_data(shape, values)
}

pub(super) fn packed(left: Matrix<'_>) -> Packed {
    EXECUTOR.with(|executor| executor.prepack_a(left))
}

/// The weights of each group, a matrix of this shape, laid out for products.
pub(super) fn of_groups(
    weight: &FlexTensor,
    shape: [usize; 2],
    lay_out: impl Fn(Matrix<'_>) -> Packed,
) -> Vec<Packed> {
    weight
        .to_contiguous()
        .storage()
        .chunks_exact(shape[0] * shape[1])
        .map(|group| lay_out(matrix(group, shape)))
        .collect()
}

/// `output = left right`, row after row.
pub(super) fn multiply(output: &mut [f32], left: &Packed, right: Matrix<'_>) {
    run(output, GemmInputA::Packed(left), right, 0.0);
}

/// `output += left right`, row after row.
pub(super) fn multiply_add(output: &mut [f32], left: Matrix<'_>, right: Matrix<'_>) {
    run(output, GemmInputA::Unpacked(left), right, 1.0);
}

fn run(output: &mut [f32], left: GemmInputA<'_, f32>, right: Matrix<'_>, kept: f32) {
    let options = GemmOptions {
        beta: kept,
        ..GemmOptions::default()
    };
    let right = GemmInputB::Unpacked(right);
    EXECUTOR
        .with(|executor| executor.gemm(output, left, right, options))
        .expect("lengths that fit");
}

/// Values whose storage is used again from product to product.
#[derive(Default)]
pub(super) struct Scratch(Vec<f32>);

impl Scratch {
    /// So many values; they are whatever they were.
    pub(super) fn of(&mut self, len: usize) -> &mut [f32] {
        if self.0.len() < len {
            self.0.resize(len, 0.0);
        }
        &mut self.0[..len]
    }
}
