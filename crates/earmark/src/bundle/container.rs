//! The outer shell of an ONNX file: bytes in, checked; metadata properties out and in.
//!
//! An ONNX file is one protobuf message, `ModelProto`. Only its top-level fields are looked at here,
//! and all that is not ours is copied byte for byte, so a foreign file keeps everything that it holds,
//! fields unknown to this program included. The graph inside is read by [`super::onnx`].
//!
//! # Source
//! Field numbers: `onnx/onnx.proto` of ONNX 1.17. Encoding: protobuf.dev, "Encoding".

use std::ops::{Range, RangeInclusive};

use crate::{Error, Result};

/// The versions of the default operator set that the runtimes read.
pub const OPSETS: RangeInclusive<u64> = 7..=23;

/// What keys of ours begin with.
pub(crate) const PREFIX: &str = "earmark.";

/// Fields of `ModelProto`.
const IR_VERSION: u64 = 1;
const PRODUCER_NAME: u64 = 2;
const GRAPH: u64 = 7;
const OPSET_IMPORT: u64 = 8;
const METADATA_PROPS: u64 = 14;
/// Fields of `OperatorSetIdProto`.
const DOMAIN: u64 = 1;
const VERSION: u64 = 2;
/// Fields of `StringStringEntryProto`.
const KEY: u64 = 1;
const VALUE: u64 = 2;

/// What the top level of an ONNX file says.
#[derive(Debug, Default)]
pub(crate) struct Shell {
    /// The version of the default operator set.
    pub(crate) opset: u64,
    /// The program that wrote the graph, empty if it does not say.
    pub(crate) producer: String,
    /// All metadata properties in the order of the file.
    pub(crate) properties: Vec<(String, String)>,
}

impl Shell {
    /// Reads the top level; `name` is what errors call the file.
    pub(crate) fn read(name: &str, bytes: &[u8]) -> Result<Self> {
        let error = |reason: String| Error::Bundle {
            name: name.to_owned(),
            reason,
        };
        let mut shell = Self::default();
        let (mut has_ir_version, mut has_graph, mut opset) = (false, false, None);
        for field in Fields::of(bytes) {
            let field = field
                .map_err(|broken| error(describe(bytes, &broken, has_ir_version || has_graph)))?;
            match (field.number, &field.value) {
                (IR_VERSION, Value::Varint(_)) => has_ir_version = true,
                (PRODUCER_NAME, Value::Bytes(range)) => {
                    shell.producer = String::from_utf8_lossy(&bytes[range.clone()]).into_owned();
                }
                (GRAPH, Value::Bytes(_)) => has_graph = true,
                (OPSET_IMPORT, Value::Bytes(range)) => {
                    if let Some(version) = default_opset(&bytes[range.clone()]) {
                        opset = Some(version);
                    }
                }
                (METADATA_PROPS, Value::Bytes(range)) => {
                    let entry = &bytes[range.clone()];
                    let property = property(entry)
                        .ok_or_else(|| error("a metadata property is damaged".to_owned()))?;
                    shell.properties.push(property);
                }
                (IR_VERSION | PRODUCER_NAME | GRAPH | OPSET_IMPORT | METADATA_PROPS, _) => {
                    return Err(error(describe(bytes, &Broken::NotProtobuf, false)));
                }
                _ => {}
            }
        }
        if !has_ir_version {
            return Err(error(describe(bytes, &Broken::NotProtobuf, false)));
        }
        if !has_graph {
            let reason = "ONNX header without a graph: the file is truncated";
            return Err(error(reason.to_owned()));
        }
        shell.opset = opset.ok_or_else(|| {
            error("no version of the ONNX operators: the file is truncated".to_owned())
        })?;
        if !OPSETS.contains(&shell.opset) {
            return Err(error(format!(
                "ONNX operator set version {}, this build runs {} to {}",
                shell.opset,
                OPSETS.start(),
                OPSETS.end()
            )));
        }
        Ok(shell)
    }
}

/// The file with the given properties in place of all properties of ours; everything else as it was.
pub(crate) fn with_properties(bytes: &[u8], properties: &[(&str, String)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 4096);
    for field in Fields::of(bytes) {
        // The caller has read the file before; what does not parse would not have got here.
        let Ok(field) = field else { break };
        let ours = match &field.value {
            Value::Bytes(range) if field.number == METADATA_PROPS => {
                property(&bytes[range.clone()]).is_some_and(|(key, _)| key.starts_with(PREFIX))
            }
            _ => false,
        };
        if !ours {
            out.extend_from_slice(&bytes[field.range]);
        }
    }
    for (key, value) in properties {
        let mut entry = Vec::with_capacity(key.len() + value.len() + 16);
        put_bytes(&mut entry, KEY, key.as_bytes());
        put_bytes(&mut entry, VALUE, value.as_bytes());
        put_bytes(&mut out, METADATA_PROPS, &entry);
    }
    out
}

/// One field of a message.
struct Field {
    number: u64,
    value: Value,
    /// Tag and value.
    range: Range<usize>,
}

/// A field's value: numbers of fixed length are passed over.
enum Value {
    Varint(u64),
    Fixed,
    Bytes(Range<usize>),
}

/// Why a message does not parse.
#[derive(Debug, PartialEq)]
enum Broken {
    /// A field says that it is longer than what follows.
    Truncated { wanted: u64, left: usize },
    /// No protobuf at all.
    NotProtobuf,
}

/// The fields of one message.
struct Fields<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Fields<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    fn varint(&mut self) -> Result<u64, Broken> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self
                .bytes
                .get(self.position)
                .ok_or(Broken::Truncated { wanted: 1, left: 0 })?;
            self.position += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Broken::NotProtobuf)
    }

    fn skip(&mut self, wanted: u64) -> Result<Range<usize>, Broken> {
        let left = self.bytes.len() - self.position;
        let len = usize::try_from(wanted)
            .ok()
            .filter(|&len| len <= left)
            .ok_or(Broken::Truncated { wanted, left })?;
        let start = self.position;
        self.position += len;
        Ok(start..self.position)
    }

    fn field(&mut self) -> Result<Field, Broken> {
        let start = self.position;
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 || number > (1 << 29) - 1 {
            return Err(Broken::NotProtobuf);
        }
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.skip(8).map(|_| Value::Fixed)?,
            2 => {
                let len = self.varint()?;
                Value::Bytes(self.skip(len)?)
            }
            5 => self.skip(4).map(|_| Value::Fixed)?,
            _ => return Err(Broken::NotProtobuf),
        };
        Ok(Field {
            number,
            value,
            range: start..self.position,
        })
    }
}

impl Iterator for Fields<'_> {
    type Item = Result<Field, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.position >= self.bytes.len() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.position = self.bytes.len();
        }
        Some(field)
    }
}

/// The version in an `OperatorSetIdProto` if it is the default operator set's.
fn default_opset(entry: &[u8]) -> Option<u64> {
    let (mut default, mut version) = (true, None);
    for field in Fields::of(entry) {
        match field.ok()? {
            Field {
                number: DOMAIN,
                value: Value::Bytes(range),
                ..
            } => default = matches!(&entry[range], b"" | b"ai.onnx"),
            Field {
                number: VERSION,
                value: Value::Varint(found),
                ..
            } => version = Some(found),
            _ => {}
        }
    }
    version.filter(|_| default)
}

/// Key and value of a `StringStringEntryProto`.
fn property(entry: &[u8]) -> Option<(String, String)> {
    let (mut key, mut value) = (String::new(), String::new());
    for field in Fields::of(entry) {
        let Field {
            number,
            value: Value::Bytes(range),
            ..
        } = field.ok()?
        else {
            continue;
        };
        let text = || std::str::from_utf8(&entry[range.clone()]).map(str::to_owned);
        match number {
            KEY => key = text().ok()?,
            VALUE => value = text().ok()?,
            _ => {}
        }
    }
    Some((key, value))
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_bytes(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    put_varint(out, number << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// What to say of bytes that do not parse. `began_well`: the fields before were those of ONNX.
fn describe(bytes: &[u8], broken: &Broken, began_well: bool) -> String {
    if bytes.is_empty() {
        return "the file is empty, expected a bundle (.onnx)".to_owned();
    }
    // An ONNX file begins with its IR version, a small number: `08 0x`.
    let looks_right = began_well || matches!(bytes, [0x08, 1..=32, ..] | [0x08]);
    match broken {
        Broken::Truncated { wanted, left } if looks_right => format!(
            "the file is truncated: a field of {wanted} bytes has only {left} left after {} bytes",
            bytes.len()
        ),
        _ => format!("{}, expected a bundle (.onnx)", looks_like(bytes)),
    }
}

/// What a file that is no ONNX looks like, from its first bytes.
fn looks_like(bytes: &[u8]) -> &'static str {
    match bytes {
        [b'P', b'K', 3 | 5, ..] => "a ZIP archive (PyTorch weights are one)",
        [0x80, 2..=5, ..] => "a Python pickle",
        [0x89, b'H', b'D', b'F', ..] => "an HDF5 file",
        [_, _, _, _, b'T', b'F', b'L', b'3', ..] => "a TensorFlow Lite file",
        [_, _, _, _, 0, 0, 0, 0, b'{', ..] => "a safetensors file",
        [b'R', b'I', b'F', b'F', ..]
        | [b'f', b'L', b'a', b'C', ..]
        | [b'O', b'g', b'g', b'S', ..] => "an audio file",
        _ if std::str::from_utf8(&bytes[..bytes.len().min(64)]).is_ok() => "a text file",
        _ => "not an ONNX file",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The smallest file that passes as ONNX: versions and an empty graph.
    pub(crate) fn tiny(opset: u64) -> Vec<u8> {
        let mut bytes = vec![0x08, 8];
        put_bytes(&mut bytes, PRODUCER_NAME, b"a test");
        put_bytes(&mut bytes, GRAPH, b"");
        let mut entry = Vec::new();
        put_bytes(&mut entry, DOMAIN, b"");
        put_varint(&mut entry, VERSION << 3);
        put_varint(&mut entry, opset);
        put_bytes(&mut bytes, OPSET_IMPORT, &entry);
        bytes
    }

    fn message(bytes: &[u8]) -> String {
        Shell::read("m.onnx", bytes).unwrap_err().to_string()
    }

    #[test]
    fn properties_come_back_and_foreign_ones_stay() {
        let mut foreign = tiny(17);
        put_bytes(&mut foreign, METADATA_PROPS, b"\x0a\x01k\x12\x01v");
        // A field that this program does not know.
        put_bytes(&mut foreign, 900, b"future");
        let once = with_properties(&foreign, &[("earmark.name", "a".to_owned())]);
        let twice = with_properties(&once, &[("earmark.name", "b".to_owned())]);
        assert!(twice.starts_with(&foreign));
        let shell = Shell::read("m.onnx", &twice).unwrap();
        let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        assert_eq!(
            shell.properties,
            [pair("k", "v"), pair("earmark.name", "b")]
        );
        assert_eq!((shell.opset, shell.producer.as_str()), (17, "a test"));
        assert_eq!(with_properties(&twice, &[]), foreign);
    }

    #[test]
    fn each_kind_of_wrong_file_has_its_own_message() {
        assert_eq!(
            message(b""),
            "m.onnx: the file is empty, expected a bundle (.onnx)"
        );
        assert!(message(b"PK\x03\x04....").contains("ZIP archive"));
        assert!(message(b"path,label\ndog.wav,dog\n").contains("a text file, expected"));
        assert!(message(b"RIFF....WAVE").contains("an audio file"));
        assert!(message(&[0xff; 40]).contains("not an ONNX file"));
        assert_eq!(
            message(&tiny(99)),
            "m.onnx: ONNX operator set version 99, this build runs 7 to 23"
        );
        let whole = tiny(17);
        assert!(message(&whole[..whole.len() - 1]).contains("truncated"));
        assert!(message(&whole[..5]).contains("truncated"));
        assert!(message(&whole[..2]).contains("truncated"));
    }

    #[test]
    fn lengths_beyond_any_memory_are_truncations_not_crashes() {
        let mut bytes = vec![0x08, 8];
        put_varint(&mut bytes, GRAPH << 3 | 2);
        put_varint(&mut bytes, u64::MAX);
        assert!(message(&bytes).contains("truncated"));
    }
}
