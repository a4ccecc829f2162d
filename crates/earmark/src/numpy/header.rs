//! The header of an array file: a Python dictionary of three entries.

use crate::model::import::element::Element;

/// What an array holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Number(Element),
    /// Texts of so many UTF-32 characters.
    Text {
        n_chars: usize,
    },
}

impl Kind {
    /// Bytes of one value.
    pub(super) fn size(self) -> usize {
        match self {
            Self::Number(element) => element.size(),
            Self::Text { n_chars } => n_chars.saturating_mul(4),
        }
    }

    fn of(descr: &str) -> Option<Self> {
        let element = match descr {
            "<f2" => Element::F16,
            "<f4" => Element::F32,
            "<f8" => Element::F64,
            "|i1" => Element::I8,
            "|u1" => Element::U8,
            "|b1" => Element::Bool,
            "<i2" => Element::I16,
            "<i4" => Element::I32,
            "<i8" => Element::I64,
            _ => {
                let n_chars = descr.strip_prefix("<U")?.parse().ok()?;
                return Some(Self::Text { n_chars });
            }
        };
        Some(Self::Number(element))
    }
}

/// A header.
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) shape: Vec<usize>,
    columns_first: bool,
}

impl Header {
    /// The header at the start of a file, and the bytes after it.
    pub(super) fn read(bytes: &[u8]) -> Result<(Self, &[u8]), String> {
        let cut = || "ends within its header".to_owned();
        let rest = bytes
            .strip_prefix(b"\x93NUMPY")
            .ok_or("no NumPy array: the file begins otherwise")?;
        let (&[major, _minor], rest) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
        let (n_bytes, rest) = match major {
            1 => {
                let (n, rest) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
                (usize::from(u16::from_le_bytes(*n)), rest)
            }
            2 | 3 => {
                let (n, rest) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
                (u32::from_le_bytes(*n) as usize, rest)
            }
            other => return Err(format!("version {other} of the format, expected 1 to 3")),
        };
        let (text, body) = rest.split_at_checked(n_bytes).ok_or_else(cut)?;
        let text = std::str::from_utf8(text).map_err(|_| "a header that is no text")?;
        let missing = |key: &str| format!("no `{key}` in the header `{}`", text.trim());
        let descr = value(text, "descr")
            .and_then(|value| value.strip_prefix('\'')?.split('\'').next())
            .ok_or_else(|| missing("descr"))?;
        let kind = Kind::of(descr)
            .ok_or_else(|| format!("values of type `{descr}`, expected numbers or texts"))?;
        let columns_first = match value(text, "fortran_order") {
            Some(value) if value.starts_with("True") => true,
            Some(value) if value.starts_with("False") => false,
            _ => return Err(missing("fortran_order")),
        };
        let shape = value(text, "shape")
            .and_then(|value| value.strip_prefix('(')?.split(')').next())
            .ok_or_else(|| missing("shape"))?;
        let lengths = shape.split(',').map(str::trim).filter(|n| !n.is_empty());
        let shape: Result<Vec<usize>, _> = lengths.map(str::parse).collect();
        let shape = shape.map_err(|_| missing("shape"))?;
        let header = Self {
            kind,
            shape,
            columns_first,
        };
        Ok((header, body))
    }

    /// The number of values.
    pub(super) fn n_values(&self) -> Result<usize, String> {
        let product = self
            .shape
            .iter()
            .try_fold(1_usize, |n, &length| n.checked_mul(length));
        product.ok_or_else(|| format!("more values than can be counted: {:?}", self.shape))
    }

    /// Values as they lie in the file, brought into the order where the last axis is fastest.
    pub(super) fn in_c_order<T: Clone>(&self, values: Vec<T>) -> Vec<T> {
        if !self.columns_first || self.shape.len() < 2 {
            return values;
        }
        let n_axes = self.shape.len();
        let mut steps = vec![1; n_axes];
        for axis in 1..n_axes {
            steps[axis] = steps[axis - 1] * self.shape[axis - 1];
        }
        let place = |mut index: usize| {
            let mut place = 0;
            for axis in (0..n_axes).rev() {
                place += index % self.shape[axis] * steps[axis];
                index /= self.shape[axis];
            }
            place
        };
        (0..values.len())
            .map(|index| values[place(index)].clone())
            .collect()
    }
}

/// What stands behind `'key':`.
fn value<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&format!("'{key}':"))?;
    Some(rest.trim_start())
}

/// A header of version 1.0, filled up so that the values begin at a multiple of 64 bytes.
pub(super) fn write(descr: &str, shape: &[usize]) -> Vec<u8> {
    let lengths: String = shape.iter().map(|length| format!("{length}, ")).collect();
    let mut text =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({lengths}), }}");
    while (10 + text.len() + 1) % 64 != 0 {
        text.push(' ');
    }
    text.push('\n');
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend((text.len() as u16).to_le_bytes());
    header.extend(text.as_bytes());
    header
}
