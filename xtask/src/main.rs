//! The workshop's commands: `cargo xtask check | test | bench`.
//!
//! `check` is what continuous integration runs, cheapest first. It needs nothing but the Rust
//! toolchain: the two programs that it uses beside cargo are installed below `target/tools`.

mod bench;
mod recordings;
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
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        ["check"] => steps::check(),
        ["test"] => steps::test(),
        ["bench"] => bench::run(),
        ["bench", "recordings", model] => recordings::run(model.as_ref()),
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
