//! The library as its users meet it, one module a subject: one program, since linking takes longer than testing.
//! Modules called `shared_…` compare with reference data that is not in the repository.

#![allow(clippy::unwrap_used, reason = "a test stops at its first surprise")]
#![allow(clippy::print_stdout, reason = "a skipped test says so")]

mod augment;
mod bundle_compat;
mod bundle_hostile;
mod bundle_import;
mod bundle_pull;
mod bundle_waveform;
mod calibration;
mod dataset_layouts;
mod decode_formats;
mod decode_hostile;
mod decode_wav_family;
mod eval_references;
mod export_waveform;
mod features_definition;
mod features_stream;
mod naive_network;
mod resample;
mod runtime_blocks;
mod search;
mod shared_audio;
mod shared_bundle;
mod shared_datasets;
mod shared_export;
mod shared_features_high_resolution;
mod shared_features_log_mel;
mod shared_features_presets;
mod shared_metrics;
mod shared_networks;
mod shared_runtime;
mod shared_tagging;
mod shared_weights;
mod sounds;
mod support;
