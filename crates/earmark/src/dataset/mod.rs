//! Labelled clips: folders and tables in; clips, labels and folds out.

mod vocabulary;

pub(crate) use vocabulary::nearest;
pub use vocabulary::{Class, Vocabulary};
