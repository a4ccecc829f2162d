//! `NumPy`'s array files: `.npy` and `.npz` bytes in, arrays of numbers and of texts out, and back.
//!
//! Numbers of every type become `f32`; texts are arrays of type `U`. Pickled objects are refused.
//! Sizes that a header claims are checked against the bytes that are there before memory is taken.
//!
//! # Source
//! `numpy.lib.format`, versions 1.0 to 3.0.

mod header;

use std::io::{Cursor, Read as _, Write as _};

use header::{Header, Kind};
use zip::ZipArchive;

/// The most bytes that the arrays of one archive may have together once they are unpacked.
const MAX_BYTES: u64 = 1 << 33;

/// An array.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// The lengths of its axes, the slowest first; empty for a single value.
    pub shape: Vec<usize>,
    /// Its values, the last axis fastest.
    pub values: Values,
}

/// The values of an array.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Numbers.
    Numbers(Vec<f32>),
    /// Texts.
    Texts(Vec<String>),
}

impl Array {
    /// Numbers of a shape.
    ///
    /// # Panics
    /// If the shape has another number of values.
    pub fn numbers(shape: Vec<usize>, values: Vec<f32>) -> Self {
        assert_eq!(
            shape.iter().product::<usize>(),
            values.len(),
            "a full array"
        );
        Self {
            shape,
            values: Values::Numbers(values),
        }
    }

    /// A list of texts.
    pub fn texts<S: Into<String>>(texts: impl IntoIterator<Item = S>) -> Self {
        let texts: Vec<String> = texts.into_iter().map(Into::into).collect();
        Self {
            shape: vec![texts.len()],
            values: Values::Texts(texts),
        }
    }

    /// Reads an `.npy` file.
    ///
    /// # Errors
    /// What was found and what was expected.
    pub fn from_npy(bytes: &[u8]) -> Result<Self, String> {
        let (header, body) = Header::read(bytes)?;
        let n_values = header.n_values()?;
        let n_bytes = n_values
            .checked_mul(header.kind.size())
            .ok_or("more values than can be counted")?;
        if body.len() != n_bytes {
            return Err(format!(
                "{} bytes of values, its header promises {n_bytes}",
                body.len()
            ));
        }
        let values = match header.kind {
            Kind::Number(element) => Values::Numbers(header.in_c_order(element.floats(body))),
            Kind::Text { n_chars } => Values::Texts(header.in_c_order(texts(body, n_chars)?)),
        };
        Ok(Self {
            shape: header.shape,
            values,
        })
    }

    /// The array as an `.npy` file: `<f4` or `<U`, C order.
    pub fn to_npy(&self) -> Vec<u8> {
        match &self.values {
            Values::Numbers(values) => {
                let mut bytes = header::write("<f4", &self.shape);
                bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
                bytes
            }
            Values::Texts(texts) => {
                let n_chars = texts.iter().map(|text| text.chars().count()).max();
                let n_chars = n_chars.unwrap_or(0).max(1);
                let mut bytes = header::write(&format!("<U{n_chars}"), &self.shape);
                for text in texts {
                    let chars = text.chars().map(u32::from);
                    let padded = chars.chain(std::iter::repeat(0)).take(n_chars);
                    bytes.extend(padded.flat_map(u32::to_le_bytes));
                }
                bytes
            }
        }
    }
}

/// Texts of a fixed number of UTF-32 characters, filled up with zeros.
fn texts(bytes: &[u8], n_chars: usize) -> Result<Vec<String>, String> {
    let text = |bytes: &[u8]| {
        let codes = bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|&b| u32::from_le_bytes(b));
        let text: Option<String> = codes.map(char::from_u32).collect();
        text.map(|text| text.trim_end_matches('\0').to_owned())
            .ok_or_else(|| "a text with an impossible character".to_owned())
    };
    bytes.chunks_exact(4 * n_chars.max(1)).map(text).collect()
}

/// Reads the arrays of an `.npz` file with their names, in the order of the file.
///
/// # Errors
/// What was found and what was expected, with the array's name.
pub fn read_npz(bytes: &[u8]) -> Result<Vec<(String, Array)>, String> {
    let mut archive = ZipArchive::new(Cursor::new(bytes))
        .map_err(|error| format!("damaged or truncated ZIP archive: {error}"))?;
    let mut left = MAX_BYTES;
    let mut arrays = Vec::new();
    for index in 0..archive.len() {
        let file = archive
            .by_index(index)
            .map_err(|error| format!("entry {index} of the archive: {error}"))?;
        let Some(name) = file
            .name()
            .ok()
            .and_then(|name| name.strip_suffix(".npy").map(str::to_owned))
        else {
            continue;
        };
        let mut unpacked = Vec::new();
        file.take(left + 1)
            .read_to_end(&mut unpacked)
            .map_err(|error| format!("`{name}`: {error}"))?;
        left = left
            .checked_sub(unpacked.len() as u64)
            .ok_or_else(|| format!("`{name}`: more than {MAX_BYTES} bytes in all"))?;
        let array = Array::from_npy(&unpacked).map_err(|reason| format!("`{name}`: {reason}"))?;
        arrays.push((name, array));
    }
    Ok(arrays)
}

/// Arrays as an `.npz` file, compressed. The same arrays give the same bytes.
///
/// # Errors
/// [`crate::Error::Io`] if there are more or larger arrays than a ZIP archive holds.
pub fn write_npz(arrays: &[(&str, &Array)]) -> crate::Result<Vec<u8>> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated)
        .last_modified_time(zip::DateTime::default());
    for (name, array) in arrays {
        archive
            .start_file(format!("{name}.npy"), options)
            .map_err(std::io::Error::from)?;
        archive.write_all(&array.to_npy())?;
    }
    Ok(archive.finish().map_err(std::io::Error::from)?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_come_back_from_an_archive() -> Result<(), Box<dyn std::error::Error>> {
        let scores = Array::numbers(vec![2, 3], vec![0.0, 1.5, -2.0, 1e-30, f32::MAX, 3.0]);
        let clips = Array::texts(["a.wav", "été.wav"]);
        let empty = Array::texts(Vec::<String>::new());
        let bytes = write_npz(&[("scores", &scores), ("clips", &clips), ("none", &empty)])?;
        let arrays = read_npz(&bytes)?;
        let names: Vec<&str> = arrays.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["scores", "clips", "none"]);
        assert_eq!(arrays[0].1, scores);
        assert_eq!(arrays[1].1, clips);
        assert_eq!(arrays[2].1, empty);
        Ok(())
    }

    /// Bytes that `numpy.save` of `NumPy` 2 writes.
    fn by_numpy(descr: &str, order: &str, shape: &str, body: &[u8]) -> Vec<u8> {
        let mut text =
            format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
        while (10 + text.len() + 1) % 64 != 0 {
            text.push(' ');
        }
        text.push('\n');
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn columns_first_becomes_rows_first() -> Result<(), String> {
        let body: Vec<u8> = [1.0_f64, 4.0, 2.0, 5.0, 3.0, 6.0]
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect();
        let array = Array::from_npy(&by_numpy("<f8", "True", "(2, 3)", &body))?;
        assert_eq!(
            array,
            Array::numbers(vec![2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        );
        let single = Array::from_npy(&by_numpy("<i8", "False", "()", &7_i64.to_le_bytes()))?;
        assert_eq!(single, Array::numbers(vec![], vec![7.0]));
        Ok(())
    }

    #[test]
    fn what_is_no_plain_array_is_refused() {
        let refused = |bytes: &[u8]| Array::from_npy(bytes).err().unwrap_or_default();
        assert!(refused(b"no array").contains("NumPy"));
        assert!(refused(&by_numpy("|O", "False", "(1,)", b"x")).contains("|O"));
        assert!(refused(&by_numpy(">f4", "False", "(1,)", b"xxxx")).contains(">f4"));
        assert!(refused(&by_numpy("<f4", "False", "(2,)", b"xxxx")).contains("promises 8"));
        let huge = "(9223372036854775807, 9223372036854775807)";
        assert!(refused(&by_numpy("<f4", "False", huge, b"")).contains("more values"));
        assert!(refused(&by_numpy("<U99999999999999999999", "False", "(1,)", b"")).contains("<U"));
        let mut cut = by_numpy("<f4", "False", "(1,)", b"xxxx");
        cut.truncate(20);
        assert!(refused(&cut).contains("header"));
    }
}
