//! The workshop's commands: `cargo xtask check | test | bench | web | browser`.
//!
//! `check` is what continuous integration runs, cheapest first. It needs nothing but the Rust
//! toolchain: the two programs that it uses beside cargo are installed below `target/tools`.

mod bench;
mod browser;
mod recordings;
mod reference;
mod reference_table;
mod server;
mod sounds;
mod stand_in;
mod steps;
mod tools;
mod web;

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
  web [MODEL.onnx...]
          the WebAssembly module of the page's private mode, for the next build of the program, and in
          target/page a page for any web host with these models or the program's own
  browser the page in Chromium; skipped where Node.js or Chromium is missing
  reference [PREFIX [PROGRAM]]
          every configuration of configs/reference whose name begins with PREFIX, end to end on a few
          sounds: train, predict, score; minutes. PROGRAM instead of the release build
  reference-table FSDKAGGLE2018 [PREFIX [PROGRAM]]
          the same configurations at their own schedules on the same clips and folds, and their figures;
          hours to days, goes on where it was interrupted
  stand-in-2019 TABLES OUTPUT
          FSDKaggle2019 at its full size with sounds made by code, from its two tables of labels
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        ref all if all.iter().any(|argument| argument.starts_with("--")) => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
        ["check"] => steps::check(),
        ["test"] => steps::test(),
        ["bench"] => bench::run(),
        ["bench", "recordings", model] => recordings::run(model.as_ref()),
        ["bench", "server", model] => server::run(model.as_ref()),
        ["web", ref models @ ..] => web::run(models),
        ["browser"] => browser::run(),
        ["reference"] => reference::run("", None),
        ["reference", prefix] => reference::run(prefix, None),
        ["reference", prefix, program] => reference::run(prefix, Some(program.as_ref())),
        ["reference-table", data] => reference_table::run(data.as_ref(), "", None),
        ["reference-table", data, prefix] => reference_table::run(data.as_ref(), prefix, None),
        ["reference-table", data, prefix, program] => {
            reference_table::run(data.as_ref(), prefix, Some(program.as_ref()))
        }
        ["stand-in-2019", tables, output] => stand_in::run(tables.as_ref(), output.as_ref()),
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
