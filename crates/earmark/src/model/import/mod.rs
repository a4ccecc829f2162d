//! Reads weights of other programs: a `.safetensors`, PyTorch or `.npz` file in, [`Weights`] out.
//!
//! Nothing in a file is ever executed. A PyTorch file is a ZIP archive with a pickle, a little program
//! for a stack machine; the reader here knows the instructions that describe tensors and refuses all
//! others, and each size is checked against what is there before memory is taken.
//!
//! Every number type becomes `f32`. Which network the weights belong to is for the caller to know, or
//! for [`efficient_at`] to find out.

mod efficient_at;
pub(crate) mod element;
mod npz;
mod pickle;
mod safetensors;
mod torch;

use std::path::Path;

pub use efficient_at::efficient_at;

use super::Weights;
use crate::{Error, Result};

/// The largest weights file, in bytes.
const MAX_BYTES: u64 = 1 << 32;
/// The most values that the tensors of one file may have together.
const MAX_VALUES: usize = 1 << 28;

/// Reads all tensors of a weights file, recognised by its content.
///
/// # Errors
/// [`Error::Io`] with the path, [`Error::Weights`] as for [`from_bytes`].
pub fn read(path: &Path) -> Result<Weights> {
    let name = path.display().to_string();
    let size = fs_err::metadata(path)?.len();
    if size > MAX_BYTES {
        return Err(Error::Limit {
            name,
            what: "weights file",
            found: format!("{size} bytes"),
            limit: format!("{MAX_BYTES} bytes"),
        });
    }
    from_bytes(&name, &fs_err::read(path)?)
}

/// Reads all tensors of a weights file in memory; `name` is what errors call it.
///
/// # Errors
/// [`Error::Weights`] when the file is of no known kind, damaged, or asks for more than tensors.
pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Weights> {
    let read = match bytes {
        [b'P', b'K', 3, 4, ..] if npz::is_one(bytes) => npz::read(bytes),
        [b'P', b'K', 3, 4, ..] => torch::read(bytes),
        [_, _, _, _, _, _, _, _, b'{', ..] => safetensors::read(bytes),
        [] => Err("the file is empty, expected weights".to_owned()),
        [0x80, 2..=5, ..] => Err(
            "a PyTorch file of the kind before 1.6, expected its ZIP format or safetensors \
             (in Python: `torch.save(torch.load(path), path)`)"
                .to_owned(),
        ),
        _ => Err("neither PyTorch's ZIP format nor safetensors nor npz".to_owned()),
    };
    read.map_err(|reason| Error::Weights {
        name: name.to_owned(),
        reason,
    })
}

/// Counts values until they are too many.
#[derive(Default)]
struct Budget {
    used: usize,
}

impl Budget {
    fn take(&mut self, n_values: usize) -> Result<(), String> {
        self.used = self.used.saturating_add(n_values);
        if self.used <= MAX_VALUES {
            return Ok(());
        }
        Err(format!(
            "more than {MAX_VALUES} values, which no tagger has"
        ))
    }
}
