//! The workshop's commands: `cargo xtask check | test | bench | browser`.
//!
//! `check` is what continuous integration runs, cheapest first. It needs nothing but the Rust
//! toolchain: the two programs that it uses beside cargo are installed below `target/tools`.

mod bench;
mod browser;
mod recordings;
mod server;
mod steps;
mod tools;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  check   everything that must hold before a change lands: format, spelling, lints, docs, tests,
          licences, and the release build
  test    the tests alone
  bench   the benchmarks; the figures go to target/bench with the machine and the date
  bench recordings MODEL
          peak memory on a day-long and on a 5 GiB recording, and one worker against two (Linux)
  bench server MODEL
          a hundred clients at the same time: latency, throughput, memory, counters (Linux)
  browser the page in Chromium; skipped where Node.js or Chromium is missing
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        ["check"] => steps::check(),
        ["test"] => steps::test(),
        ["bench"] => bench::run(),
        ["bench", "recordings", model] => recordings::run(model.as_ref()),
        ["bench", "server", model] => server::run(model.as_ref()),
        ["browser"] => browser::run(),
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
