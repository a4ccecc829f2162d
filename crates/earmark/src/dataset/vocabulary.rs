//! The ordered list of classes that a tagger knows: names and optional ids in, indices out.
//!
//! A class' position is its position in the network's output, so the order is part of the meaning.
//! Datasets turn labels into indices with [`Vocabulary::find`], which suggests the nearest name when
//! a label is unknown; bundles carry the vocabulary inside the model file.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::lines::CsvRows;
use crate::{Error, Result};

/// One entry of a vocabulary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// What tags show, such as `Dog`. Never empty, no white space around it, unique in a vocabulary.
    pub name: String,
    /// The class' identifier in an ontology, such as AudioSet's `/m/0bt9lr`. Unique where present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

impl Class {
    /// A class without an id.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            id: None,
        }
    }

    /// A class of an ontology.
    pub fn with_id(name: impl Into<String>, id: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            id: Some(id.into()),
        }
    }
}

/// The classes of a tagger in the order of its outputs: at least one, with distinct names and ids.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    classes: Vec<Class>,
    by_name: HashMap<String, usize>,
    by_id: HashMap<String, usize>,
}

impl Vocabulary {
    /// A vocabulary of these classes, in this order.
    ///
    /// # Errors
    /// [`Error::Config`] when there is no class, or a name or id is empty, has white space around it,
    /// holds a control character, or occurs twice.
    pub fn new(classes: Vec<Class>) -> Result<Self> {
        if classes.is_empty() {
            return Err(impossible("vocabulary", "empty", "must have a class"));
        }
        let mut by_name = HashMap::with_capacity(classes.len());
        let mut by_id = HashMap::new();
        for (index, class) in classes.iter().enumerate() {
            insert(&mut by_name, &class.name, index, "name")?;
            if let Some(id) = &class.id {
                insert(&mut by_id, id, index, "id")?;
            }
        }
        Ok(Self {
            classes,
            by_name,
            by_id,
        })
    }

    /// A vocabulary of classes without ids.
    ///
    /// # Errors
    /// As for [`Vocabulary::new`].
    pub fn from_names<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Result<Self> {
        Self::new(names.into_iter().map(Class::new).collect())
    }

    /// The 527 classes of AudioSet in the order in which its networks put them out, with the
    /// ontology's machine ids.
    ///
    /// # Source
    /// AudioSet ontology, Google, CC BY 4.0.
    pub fn audio_set() -> &'static Self {
        static AUDIO_SET: OnceLock<Vocabulary> = OnceLock::new();
        AUDIO_SET.get_or_init(|| {
            let table = include_bytes!("../bundle/audioset.csv");
            Self::from_csv_reader("audioset.csv", table.as_slice())
                .expect("the table is part of the program and a test reads it")
        })
    }

    /// Reads a vocabulary from a CSV file: a header, then one class per row.
    ///
    /// The name is the column `name`, `display_name`, `class` or `label`; the id, which may be absent,
    /// is `id` or `mid`; other columns are ignored. Rows are in the order of the outputs. When there
    /// is a column `index`, it must count up from 0.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Line`] for a row that does not parse or an index out of order,
    /// [`Error::Config`] as for [`Vocabulary::new`].
    pub fn from_csv(path: &Path) -> Result<Self> {
        let file = fs_err::File::open(path)?;
        Self::from_csv_reader(&path.display().to_string(), file)
    }

    /// Like [`Vocabulary::from_csv`], from any reader; `name` is what errors call it.
    ///
    /// # Errors
    /// As for `from_csv`.
    pub fn from_csv_reader(name: &str, mut reader: impl Read) -> Result<Self> {
        let mut text = Vec::new();
        reader.read_to_end(&mut text)?;
        let mut options = csv::ReaderBuilder::new();
        let table = CsvRows::parse(name, &text, options.trim(csv::Trim::All))?;
        let columns =
            Columns::of(&table.header).map_err(|reason| table.error(table.header_line, reason))?;
        let mut classes = Vec::new();
        for (line, row) in &table.rows {
            let class = columns.class(row, classes.len());
            classes.push(class.map_err(|reason| table.error(*line, reason))?);
        }
        Self::new(classes).map_err(|error| match error {
            Error::Config {
                found, expected, ..
            } => Error::Config {
                key: format!("{name}: vocabulary"),
                found,
                expected,
            },
            other => other,
        })
    }

    /// The number of classes, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a vocabulary is never empty")]
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// The classes in the order of the outputs.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// The class at an index, or `None` beyond the last.
    pub fn get(&self, index: usize) -> Option<&Class> {
        self.classes.get(index)
    }

    /// The name of the class at `index`.
    ///
    /// # Panics
    /// When `index` is not below [`Vocabulary::len`].
    pub fn name(&self, index: usize) -> &str {
        &self.classes[index].name
    }

    /// The names in the order of the outputs.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.classes.iter().map(|class| class.name.as_str())
    }

    /// The index of the class with exactly this name.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The index of the class with exactly this id.
    pub fn index_of_id(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// The index of the class that a person means: by name, by id, or by the only name that is equal
    /// but for upper and lower case.
    ///
    /// # Errors
    /// [`Error::UnknownClass`] with the nearest name, if one is near.
    pub fn find(&self, label: &str) -> Result<usize> {
        self.index_of(label)
            .or_else(|| self.index_of_id(label))
            .or_else(|| self.index_ignoring_case(label))
            .ok_or_else(|| Error::UnknownClass {
                label: label.to_owned(),
                n_classes: self.len(),
                suggestion: self.suggestion(label).map(str::to_owned),
            })
    }

    /// The name nearest to `label` by edits of single letters, if at most a third of its letters
    /// differ; also a name that contains `label`, or that `label` contains, as a whole word.
    pub fn suggestion(&self, label: &str) -> Option<&str> {
        nearest(label, self.names())
    }

    /// The SHA-256 of names and ids in order, in hexadecimal. Equal digests mean equal outputs.
    pub fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        for class in &self.classes {
            // No name or id holds a control character, so these separators make the text unique.
            hasher.update(class.name.as_bytes());
            hasher.update(b"\t");
            hasher.update(class.id.as_deref().unwrap_or("").as_bytes());
            hasher.update(b"\n");
        }
        hasher
            .finalize()
            .iter()
            .fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            })
    }

    fn index_ignoring_case(&self, label: &str) -> Option<usize> {
        let wanted = folded(label);
        let mut equal = self
            .names()
            .enumerate()
            .filter(|(_, name)| folded(name) == wanted);
        let (index, _) = equal.next()?;
        equal.next().is_none().then_some(index)
    }
}

impl PartialEq for Vocabulary {
    fn eq(&self, other: &Self) -> bool {
        self.classes == other.classes
    }
}

impl Eq for Vocabulary {}

impl Serialize for Vocabulary {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.classes.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// A class as a table, or just its name.
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a class name or a table of `name` and `id`")]
        enum Entry {
            Name(String),
            Class(Class),
        }
        let entries = Vec::<Entry>::deserialize(deserializer)?;
        let classes = entries.into_iter().map(|entry| match entry {
            Entry::Name(name) => Class::new(name),
            Entry::Class(class) => class,
        });
        Self::new(classes.collect()).map_err(serde::de::Error::custom)
    }
}

/// Where the columns of a vocabulary table are.
struct Columns {
    name: usize,
    id: Option<usize>,
    index: Option<usize>,
}

impl Columns {
    fn of(header: &csv::StringRecord) -> Result<Self, String> {
        let find = |wanted: &[&str]| {
            header
                .iter()
                .position(|column| wanted.contains(&column.trim_start_matches('\u{feff}')))
        };
        let name = find(&["name", "display_name", "class", "label"]).ok_or_else(|| {
            let found: Vec<&str> = header.iter().collect();
            format!(
                "columns are `{}`, expected one of `name`, `display_name`, `class`, `label`",
                found.join("`, `")
            )
        })?;
        Ok(Self {
            name,
            id: find(&["id", "mid"]),
            index: find(&["index"]),
        })
    }

    /// The class of a row that should be the output `expected`.
    fn class(&self, record: &csv::StringRecord, expected: usize) -> Result<Class, String> {
        if let Some(column) = self.index {
            let found = &record[column];
            if found.parse() != Ok(expected) {
                return Err(format!(
                    "index is `{found}`, expected {expected}: rows are in the order of the outputs"
                ));
            }
        }
        let id = self
            .id
            .map(|column| &record[column])
            .filter(|id| !id.is_empty());
        Ok(Class {
            name: record[self.name].to_owned(),
            id: id.map(str::to_owned),
        })
    }
}

fn impossible(key: &str, found: &str, expected: &str) -> Error {
    Error::Config {
        key: key.to_owned(),
        found: found.to_owned(),
        expected: expected.to_owned(),
    }
}

fn insert(known: &mut HashMap<String, usize>, text: &str, index: usize, what: &str) -> Result<()> {
    let key = format!("class {index}'s {what}");
    if text.trim() != text || text.is_empty() || text.chars().any(char::is_control) {
        return Err(impossible(
            &key,
            &format!("`{}`", text.escape_debug()),
            "must be text without white space around it or control characters",
        ));
    }
    if let Some(first) = known.insert(text.to_owned(), index) {
        return Err(impossible(
            &key,
            &format!("`{text}`"),
            &format!("which class {first} already has"),
        ));
    }
    Ok(())
}

/// Lower case, and `_` and `-` as spaces: what people type for one another.
fn folded(text: &str) -> String {
    text.trim().to_lowercase().replace(['_', '-'], " ")
}

/// The candidate nearest to `text` by edits of single letters, if at most a third of its letters
/// differ; else the first that contains all its words, or whose words it contains.
pub fn nearest<'a>(
    text: &str,
    candidates: impl Iterator<Item = &'a str> + Clone,
) -> Option<&'a str> {
    let wanted = folded(text);
    let allowed = (wanted.chars().count() / 3).max(1);
    let nearest = candidates
        .clone()
        .map(|name| (edit_distance(&wanted, &folded(name)), name))
        .min_by_key(|&(distance, _)| distance)
        .filter(|&(distance, _)| distance <= allowed)
        .map(|(_, name)| name);
    nearest.or_else(|| {
        let mut candidates = candidates;
        candidates.find(|name| shares_words(&wanted, &folded(name)))
    })
}

/// Whether all the words of one text are words of the other.
fn shares_words(a: &str, b: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        text.split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let (a, b) = (words(a), words(b));
    let all_in = |few: &[String], many: &[String]| {
        !few.is_empty() && few.iter().all(|word| many.contains(word))
    };
    all_in(&a, &b) || all_in(&b, &a)
}

/// The number of inserted, deleted or replaced letters between two texts (Levenshtein 1966).
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for j in 0..b.len() {
            let replaced = diagonal + usize::from(letter != b[j]);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_audio_set_table_has_527_classes_with_ids() {
        let vocabulary = Vocabulary::audio_set();
        assert_eq!(vocabulary.len(), 527);
        assert!(vocabulary.classes().iter().all(|class| class.id.is_some()));
        assert_eq!(vocabulary.name(0), "Speech");
        assert_eq!(vocabulary.index_of("Dog"), Some(74));
        assert_eq!(vocabulary.index_of_id("/m/0bt9lr"), Some(74));
        assert_eq!(vocabulary.name(526), "Field recording");
    }

    #[test]
    fn an_unknown_label_gets_the_nearest_name() {
        let vocabulary = Vocabulary::audio_set();
        let suggestion = |label: &str| match vocabulary.find(label) {
            Err(Error::UnknownClass { suggestion, .. }) => suggestion,
            other => panic!("{label}: {other:?}"),
        };
        assert_eq!(suggestion("Chiansaw").as_deref(), Some("Chainsaw"));
        assert_eq!(suggestion("rain drop").as_deref(), Some("Raindrop"));
        assert_eq!(suggestion("rooster").as_deref(), Some("Chicken, rooster"));
        assert_eq!(suggestion("qqqqqqqqqq"), None);
    }

    #[test]
    fn labels_are_found_by_name_id_and_case() {
        let vocabulary = Vocabulary::audio_set();
        for label in ["Dog", "dog", "/m/0bt9lr"] {
            assert_eq!(vocabulary.find(label).unwrap(), 74);
        }
    }

    #[test]
    fn impossible_vocabularies_are_refused() {
        let refused = |names: &[&str]| {
            Vocabulary::from_names(names.iter().copied())
                .unwrap_err()
                .to_string()
        };
        assert_eq!(refused(&[]), "vocabulary is empty, must have a class");
        assert_eq!(
            refused(&["Dog", "Cat", "Dog"]),
            "class 2's name is `Dog`, which class 0 already has"
        );
        assert!(refused(&["Dog "]).starts_with("class 0's name is `Dog `, must be text"));
        assert!(refused(&["a\tb"]).contains("a\\tb"));
    }

    #[test]
    fn tables_of_several_makers_are_read() {
        let read = |text: &str| Vocabulary::from_csv_reader("v.csv", text.as_bytes());
        let classes = read("index,mid,display_name\n0,/m/1,\"Bark, dog\"\n1,/m/2,Meow\n").unwrap();
        assert_eq!(classes.get(0), Some(&Class::with_id("Bark, dog", "/m/1")));
        assert_eq!(read("name\nBark\nMeow\n").unwrap().len(), 2);
        let error = |text: &str| read(text).unwrap_err().to_string();
        assert_eq!(
            error("index,name\n1,Bark\n"),
            "v.csv:2: index is `1`, expected 0: rows are in the order of the outputs"
        );
        assert!(error("a,b\n1,2\n").starts_with("v.csv:1: columns are `a`, `b`, expected one of"));
        assert_eq!(
            error("name\n"),
            "v.csv: vocabulary is empty, must have a class"
        );
        assert_eq!(
            error("name,id\r\n\r\nBark\r\n"),
            "v.csv:3: 1 fields, expected 2"
        );
    }

    #[test]
    fn the_digest_depends_on_order_and_ids() {
        let digest = |classes: &[Class]| Vocabulary::new(classes.to_vec()).unwrap().digest();
        let (a, b) = (Class::new("a"), Class::new("b"));
        let first = digest(&[a.clone(), b.clone()]);
        assert_eq!(first.len(), 64);
        assert_eq!(first, digest(&[a.clone(), b.clone()]));
        assert_ne!(first, digest(&[b.clone(), a.clone()]));
        assert_ne!(first, digest(&[Class::with_id("a", "x"), b]));
    }

    #[test]
    fn edits_are_counted() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("abc", "abc"), 0);
    }
}
