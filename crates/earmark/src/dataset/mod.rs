//! Labelled clips: folders and tables in; clips, labels and folds out.

mod vocabulary;

pub use vocabulary::{Class, Vocabulary};
