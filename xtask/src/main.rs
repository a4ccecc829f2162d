//! The workshop's commands: `cargo xtask check | test | bench`.
//!
//! `check` is what continuous integration runs, cheapest first. It needs nothing but the Rust
//! toolchain: the two programs that it uses beside cargo are installed below `target/tools`.

mod bench;
mod steps;
mod tools;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  check   everything that must hold before a change lands: format, spelling, lints, docs, tests,
          licences, and the release build
  test    the tests alone
  bench   the benchmarks; the figures go to target/bench with the machine and the date
";

fn main() -> ExitCode {
    let command = std::env::args().nth(1);
    let outcome = match command.as_deref() {
        Some("check") => steps::check(),
        Some("test") => steps::test(),
        Some("bench") => bench::run(),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
