//! Trains sound taggers: labelled clips and a configuration in, a bundle and its history out.
//!
//! ```text
//! Architecture (earmark::model) ── network ──┐
//! clips (earmark::dataset) ── augment ───────┼── train: loss → optimizer → schedule ── bundle
//! RunConfig ─────────────────────────────────┘         └── run directory, checkpoints
//! ```
//!
//! The tensor framework (Burn) stays inside this crate.

pub mod average;
pub mod checkpoint;
pub mod clips;
pub mod compare;
pub mod device;
pub mod loss;
pub mod network;
pub mod noisy;
pub mod observer;
pub mod optimizer;
pub mod probe;
pub mod range_test;
pub mod run;
pub mod schedule;
pub mod source;
pub mod sweep;
pub mod teacher;
pub mod trainer;

pub use device::DeviceChoice;
pub use network::Network;
pub use run::{RunConfig, RunOptions, RunResult, find_learning_rate, run};
pub use trainer::{TrainConfig, Trainer};
