//! The program as its users meet it, one module a subject.

#![allow(clippy::unwrap_used, reason = "a test stops at its first surprise")]

mod augment;
mod bad_input;
mod blend;
mod built_in;
mod bundle;
mod common;
mod dataset;
mod evaluate;
mod features;
mod listen;
mod predict;
mod review;
mod score;
mod search;
mod serve_api;
mod serve_limits;
mod sweep;
mod tag_formats;
mod tag_runs;
mod train_command;
