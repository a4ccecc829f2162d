//! Reads an `.npz` file: one array per parameter, by its name.

use zip::ZipArchive;

use super::Budget;
use crate::model::{Tensor, Weights};
use crate::numpy::{self, Values};

/// Whether a ZIP archive holds arrays rather than PyTorch's pickle.
pub(super) fn is_one(bytes: &[u8]) -> bool {
    let archive = ZipArchive::new(std::io::Cursor::new(bytes));
    archive.is_ok_and(|archive| {
        let mut names = archive.file_names().flatten();
        let has_arrays = names.any(|name| name.ends_with(".npy"));
        let mut names = archive.file_names().flatten();
        has_arrays && !names.any(|name| name.ends_with("data.pkl"))
    })
}

/// All arrays of the file, or what is wrong with it.
pub(super) fn read(bytes: &[u8]) -> Result<Weights, String> {
    let mut weights = Weights::new();
    let mut budget = Budget::default();
    for (name, array) in numpy::read_npz(bytes)? {
        let Values::Numbers(values) = array.values else {
            return Err(format!("`{name}`: an array of texts, expected numbers"));
        };
        budget.take(values.len())?;
        let tensor =
            Tensor::new(array.shape, values).map_err(|error| format!("`{name}`: {error}"))?;
        weights.insert(name, tensor);
    }
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use super::super::from_bytes;
    use crate::numpy::{Array, write_npz};

    #[test]
    fn arrays_are_parameters_by_name() -> crate::Result<()> {
        let kernel = Array::numbers(vec![2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let offset = Array::numbers(vec![2], vec![-1.0, 0.5]);
        let bytes = write_npz(&[("fc.weight", &kernel), ("fc.bias", &offset)])?;
        let weights = from_bytes("w.npz", &bytes)?;
        assert_eq!(weights.len(), 2);
        let found = weights
            .get("fc.weight")
            .map(|tensor| (tensor.shape(), tensor.data()));
        assert_eq!(
            found,
            Some((&[2, 3][..], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..]))
        );
        let texts = write_npz(&[("names", &Array::texts(["a"]))])?;
        let error = from_bytes("w.npz", &texts)
            .err()
            .map(|error| error.to_string());
        let expected = "w.npz: `names`: an array of texts, expected numbers";
        assert_eq!(error.as_deref(), Some(expected));
        Ok(())
    }
}
