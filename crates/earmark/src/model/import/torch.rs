//! Reads PyTorch's ZIP format: `*/data.pkl` describes the tensors, `*/data/KEY` holds their numbers.

use std::collections::HashMap;
use std::io::{Cursor, Read};

use zip::ZipArchive;

use super::Budget;
use super::element::Element;
use super::pickle::{self, Node, Storage, Values, View};
use crate::model::{Tensor, Weights};

/// The longest description of tensors, in bytes.
const MAX_PICKLE: u64 = 1 << 26;

/// Where training scripts put the weights when they save more than them.
const WRAPPERS: [&str; 5] = ["state_dict", "model_state_dict", "model", "net", "params"];

type Archive<'a> = ZipArchive<Cursor<&'a [u8]>>;

/// All tensors of the file, or what is wrong with it.
pub(super) fn read(bytes: &[u8]) -> Result<Weights, String> {
    let mut archive = ZipArchive::new(Cursor::new(bytes))
        .map_err(|error| format!("damaged or truncated ZIP archive: {error}"))?;
    let mut names = archive.file_names().flatten();
    let folder = names.find_map(|name| {
        let folder = name.strip_suffix("data.pkl")?;
        (folder.is_empty() || folder.ends_with('/')).then(|| folder.to_owned())
    });
    drop(names);
    let Some(folder) = folder else {
        return Err("a ZIP archive without `data.pkl`, expected PyTorch weights".to_owned());
    };
    if archive
        .index_for_name(&format!("{folder}constants.pkl"))
        .is_some()
    {
        return Err("a TorchScript program, expected weights \
             (in Python: `torch.save(model.state_dict(), path)`)"
            .to_owned());
    }
    check_byte_order(&mut archive, &folder)?;
    let program = entry(&mut archive, &format!("{folder}data.pkl"), MAX_PICKLE)?;
    let values = pickle::read(&program)?;
    let mut reader = Reader {
        archive,
        folder,
        storages: HashMap::new(),
        budget: Budget::default(),
    };
    let mut weights = Weights::new();
    for (name, view) in tensors(&values)? {
        let tensor = reader
            .tensor(view)
            .map_err(|reason| format!("`{name}`: {reason}"))?;
        weights.insert(name, tensor);
    }
    Ok(weights)
}

fn check_byte_order(archive: &mut Archive<'_>, folder: &str) -> Result<(), String> {
    let name = format!("{folder}byteorder");
    if archive.index_for_name(&name).is_none() {
        return Ok(());
    }
    match entry(archive, &name, 64)?.as_slice() {
        b"little" => Ok(()),
        other => Err(format!(
            "byte order `{}`, expected `little`",
            String::from_utf8_lossy(other)
        )),
    }
}

/// One file of the archive. Its size is checked before and while it is unpacked.
fn entry(archive: &mut Archive<'_>, name: &str, limit: u64) -> Result<Vec<u8>, String> {
    let damaged = |error: String| format!("`{name}` in the archive: {error}");
    let file = archive
        .by_name(name)
        .map_err(|error| damaged(error.to_string()))?;
    if file.size() > limit {
        return Err(damaged(format!(
            "{} bytes, expected at most {limit}",
            file.size()
        )));
    }
    let mut bytes = Vec::new();
    let mut file = file.take(limit + 1);
    file.read_to_end(&mut bytes)
        .map_err(|error| damaged(error.to_string()))?;
    if bytes.len() as u64 > limit {
        return Err(damaged(format!("more than {limit} bytes")));
    }
    Ok(bytes)
}

/// The tensors of a state dict with their names: the root itself, or the dictionary inside it that a
/// training script would use.
fn tensors(values: &Values) -> Result<Vec<(String, &View)>, String> {
    let Node::Dict(entries) = values.root() else {
        return Err("its pickle is no dictionary, expected a state dict".to_owned());
    };
    let named = |entries: &[(usize, usize)]| -> Vec<(String, usize)> {
        let text = |&(key, value): &(usize, usize)| match values.get(key) {
            Node::Text(name) => Some((name.clone(), value)),
            _ => None,
        };
        entries.iter().filter_map(text).collect()
    };
    let outer = named(entries);
    let found = of_dictionary(values, &outer);
    if !found.is_empty() {
        return Ok(found);
    }
    for wrapper in WRAPPERS {
        let inner = outer.iter().find(|(name, _)| name == wrapper);
        if let Some(Node::Dict(entries)) = inner.map(|(_, id)| values.get(*id)) {
            let found = of_dictionary(values, &named(entries));
            if !found.is_empty() {
                return Ok(found);
            }
        }
    }
    let keys: Vec<&str> = outer
        .iter()
        .map(|(name, _)| name.as_str())
        .take(8)
        .collect();
    Err(format!(
        "a dictionary without tensors (keys: {})",
        keys.join(", ")
    ))
}

fn of_dictionary<'a>(values: &'a Values, entries: &[(String, usize)]) -> Vec<(String, &'a View)> {
    let tensor = |(name, id): &(String, usize)| match values.get(*id) {
        Node::Tensor(view) => Some((name.clone(), view)),
        _ => None,
    };
    entries.iter().filter_map(tensor).collect()
}

struct Reader<'a> {
    archive: Archive<'a>,
    folder: String,
    /// Storages by name, read once: tensors may share them.
    storages: HashMap<String, Vec<u8>>,
    budget: Budget,
}

impl Reader<'_> {
    fn tensor(&mut self, view: &View) -> Result<Tensor, String> {
        let Layout { n_values, reach } = layout(view)?;
        self.budget.take(n_values)?;
        let size = view.element.size();
        let bytes = self.storage(&view.storage, view.element)?;
        let used = view
            .offset
            .checked_mul(size)
            .zip(reach.checked_mul(size))
            .and_then(|(start, length)| bytes.get(start..start.checked_add(length)?))
            .ok_or_else(|| format!("reaches beyond its {} bytes", bytes.len()))?;
        if n_values > 0 && reach < n_values {
            return Err("repeats its numbers, expected each once".to_owned());
        }
        let values = gather(&view.element.floats(used), view);
        Tensor::new(view.shape.clone(), values).map_err(|error| error.to_string())
    }

    fn storage(&mut self, storage: &Storage, element: Element) -> Result<&[u8], String> {
        if !self.storages.contains_key(&storage.key) {
            let size = storage.element.map_or(1, Element::size);
            let length = storage
                .length
                .checked_mul(size)
                .ok_or("a storage of no sensible size")?;
            self.budget.take(length / element.size().max(1))?;
            let name = format!("{}data/{}", self.folder, storage.key);
            let bytes = entry(&mut self.archive, &name, length as u64)?;
            if bytes.len() != length {
                return Err(format!(
                    "`{name}` has {} bytes, expected {length}",
                    bytes.len()
                ));
            }
            self.storages.insert(storage.key.clone(), bytes);
        }
        Ok(&self.storages[&storage.key])
    }
}

/// How much of a storage a tensor covers.
struct Layout {
    /// The product of the shape.
    n_values: usize,
    /// From its first to its last number, both included.
    reach: usize,
}

fn layout(view: &View) -> Result<Layout, String> {
    let error = || format!("shape {:?} with strides {:?}", view.shape, view.stride);
    if view.shape.len() != view.stride.len() || view.shape.len() > 8 {
        return Err(error());
    }
    let n_values = view
        .shape
        .iter()
        .try_fold(1usize, |n, &dim| n.checked_mul(dim));
    let n_values = n_values.ok_or_else(error)?;
    if n_values == 0 {
        return Ok(Layout { n_values, reach: 0 });
    }
    let reach = view
        .shape
        .iter()
        .zip(&view.stride)
        .try_fold(1usize, |reach, (&dim, &stride)| {
            reach.checked_add((dim - 1).checked_mul(stride)?)
        });
    Ok(Layout {
        n_values,
        reach: reach.ok_or_else(error)?,
    })
}

/// The numbers in the order of the axes, last fastest.
fn gather(stored: &[f32], view: &View) -> Vec<f32> {
    let n_values = view.shape.iter().product();
    let mut values = Vec::with_capacity(n_values);
    let mut index = vec![0; view.shape.len()];
    let mut position = 0;
    for _ in 0..n_values {
        values.push(stored[position]);
        for axis in (0..index.len()).rev() {
            index[axis] += 1;
            position += view.stride[axis];
            if index[axis] < view.shape[axis] {
                break;
            }
            position -= view.stride[axis] * index[axis];
            index[axis] = 0;
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(shape: &[usize], stride: &[usize]) -> View {
        View {
            storage: Storage {
                key: "0".to_owned(),
                element: Some(Element::F32),
                length: 6,
            },
            element: Element::F32,
            offset: 0,
            shape: shape.to_vec(),
            stride: stride.to_vec(),
        }
    }

    #[test]
    fn strides_are_followed() {
        let stored = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(gather(&stored, &view(&[2, 3], &[3, 1])), stored);
        assert_eq!(
            gather(&stored, &view(&[3, 2], &[1, 3])),
            [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]
        );
        assert_eq!(gather(&stored, &view(&[], &[])), [0.0]);
    }

    #[test]
    fn sizes_that_overflow_are_errors() {
        assert!(layout(&view(&[usize::MAX, 2], &[1, 1])).is_err());
        assert!(layout(&view(&[2, 2], &[usize::MAX, 1])).is_err());
        assert!(layout(&view(&[2], &[1, 1])).is_err());
    }
}
