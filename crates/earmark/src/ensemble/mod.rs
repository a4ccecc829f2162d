//! Ensembles: tables of scores that several models give the same clips in, one table out.
//!
//! ```text
//! score files, submissions ── read ── align ── tables ─┬─ means (weights by model, or by model and class)
//!                                                      └─ stack (fitted on out-of-fold scores) ── one table
//! ```
//!
//! * [`ScoreTable`] is what a file says: clips, classes, scores, and labels where the file has them.
//! * [`align`] brings several tables to the clips and classes of the first, or says which row does not
//!   fit.
//! * [`mean`] blends with fixed weights; [`Stack`] learns how to blend from scores of clips that the
//!   models were not trained on.
//!
//! Everything is computed in `f64` in a fixed order and does not depend on threads.

pub mod lbfgs;
mod means;
mod read;
mod stack;
mod table;
#[cfg(feature = "trees")]
mod trees;

pub use means::{Mean, Weights, class_weights, mean};
pub use read::read;
pub use stack::{Stack, StackConfig, StackKind, Training, cross_fit};
pub use table::{ScoreTable, align, spelling_notes};
