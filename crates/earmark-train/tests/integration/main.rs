//! Training as its users meet it, one module a subject.

#![allow(clippy::unwrap_used, reason = "a test stops at its first surprise")]
#![allow(clippy::print_stdout, reason = "a skipped test says so")]

mod clip_features;
mod common;
mod compare;
mod network_equals_graph;
mod network_gradients;
mod reference_configs;
mod shared_mn04;
mod train_folder;
mod train_from_weights;
mod train_frozen;
mod train_runs;
mod train_speeds;
mod train_tiny;
