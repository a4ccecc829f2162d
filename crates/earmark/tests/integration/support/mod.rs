//! What several test files need: golden arrays in NumPy's format, and where they lie.

pub(crate) mod bundles;
pub(crate) mod http;
pub(crate) mod levels;

use std::path::PathBuf;

/// The folder of reference data beside the checkout, or `None` after saying loudly that it is not
/// there. `EARMARK_SHARED` names another place.
pub(crate) fn shared() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("EARMARK_SHARED").map_or_else(beside, PathBuf::from);
    if folder.join("reference").is_dir() {
        return Some(folder);
    }
    println!("SKIPPED: needs ../shared ({})", folder.display());
    None
}

/// An array with its shape, C order, as `f64`.
#[derive(Debug, Clone)]
pub(crate) struct Array {
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Vec<f64>,
}

impl Array {
    /// The values as `f32`.
    pub(crate) fn to_f32(&self) -> Vec<f32> {
        self.data.iter().map(|x| *x as f32).collect()
    }

    /// A `[row, column]` array turned into `[column, row]`.
    pub(crate) fn transposed(&self) -> Self {
        let [rows, columns] = self.shape[..] else {
            panic!("{:?} is not a matrix", self.shape);
        };
        let at = |i: usize| self.data[i % rows * columns + i / rows];
        Self {
            shape: vec![columns, rows],
            data: (0..rows * columns).map(at).collect(),
        }
    }
}

/// Reads a `.npy` file of little-endian numbers. Complex numbers become an extra last axis of
/// length 2.
pub(crate) fn npy(path: impl Into<PathBuf>) -> Array {
    let path = path.into();
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(&bytes[..6], b"\x93NUMPY", "{}", path.display());
    let (start, length) = match bytes[6] {
        1 => (10, usize::from(u16::from_le_bytes([bytes[8], bytes[9]]))),
        _ => (
            12,
            u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]) as usize,
        ),
    };
    let header = std::str::from_utf8(&bytes[start..start + length]).unwrap();
    let after = |key: &str| &header[header.find(key).unwrap() + key.len()..];
    let kind = after("'descr': '").split('\'').next().unwrap();
    let shape = after("'shape': (").split(')').next().unwrap();
    let mut shape: Vec<usize> = shape
        .split(',')
        .filter_map(|part| part.trim().parse().ok())
        .collect();
    let body = &bytes[start + length..];
    let data = match kind {
        "<f4" => numbers(body, |b| f64::from(f32::from_le_bytes(b))),
        "<f8" => numbers(body, f64::from_le_bytes),
        "<i8" => numbers(body, |b| i64::from_le_bytes(b) as f64),
        "<i4" => numbers(body, |b| f64::from(i32::from_le_bytes(b))),
        "<u2" => numbers(body, |b| f64::from(u16::from_le_bytes(b))),
        "<u4" => numbers(body, |b| f64::from(u32::from_le_bytes(b))),
        "|u1" => numbers(body, |b: [u8; 1]| f64::from(b[0])),
        "<c16" => {
            shape.push(2);
            numbers(body, f64::from_le_bytes)
        }
        other => panic!("{}: numbers of kind {other}", path.display()),
    };
    assert_eq!(
        shape.iter().product::<usize>(),
        data.len(),
        "{}",
        path.display()
    );
    if header.contains("'fortran_order': True") {
        // The columns of the matrix follow each other: in C order that is the transposed one.
        shape.reverse();
        return Array { shape, data }.transposed();
    }
    Array { shape, data }
}

fn numbers<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    bytes
        .chunks_exact(N)
        .map(|chunk| number(chunk.try_into().unwrap()))
        .collect()
}
