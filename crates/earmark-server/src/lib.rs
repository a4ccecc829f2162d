//! Earmark as a web application and an HTTP API: bundles in, a server out.
//!
//! ```text
//! connection ── guard ── routes ── upload ── work: gate → Tagger on a blocking thread ── rows
//! (server.rs)   host, origin,     unnamed       one slot per core, a bounded queue,
//!               key, headers      file          deadlines that stop the work
//! ```
//!
//! [`Server::bind`] takes a [`Config`] and loaded [`Model`](earmark::hear::Model)s, [`Server::run`] serves until a flag is
//! set. Recordings go through [`earmark::tagger::Tagger`] and results through [`earmark::results`], as
//! on the command line. `docs/server.md` describes the API for its users, `openapi.json` for programs.

mod app;
mod config;
mod guard;
mod jobs;
mod metrics;
mod models;
mod params;
mod problem;
pub mod review;
mod routes;
mod server;
mod upload;
mod work;

pub use config::Config;
pub use server::{ServeError, Server};
