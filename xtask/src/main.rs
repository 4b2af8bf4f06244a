//! The project's chores: `cargo xtask COMMAND`.
//!
//! Each command is a list of steps that anyone could type by hand. The first one that fails ends the run
//! with exit status 1, and the last line says which it was.

mod layers;
mod node;
mod steps;

use std::process::ExitCode;

use anyhow::{Error, Result, bail};

const HELP: &str = "\
cargo xtask COMMAND

  check     formatting, lints, layers and left-over merge conflicts: the quick look before a commit
  layers    which crate uses which, against the table in docs/adr/0001
  test      everything a pull request must pass: check, unit, the protocol against Kafka's own
            classes, our client and foreign ones against a real node, what a request costs, and
            a short chaos
  unit      only the Rust tests and those of the benchmarks' runner
  protocol  only the protocol against Kafka's own classes, and formatted directories against its
            tool and broker
  client    only our own client, against a node
  compat    only foreign clients; further arguments go to test/compat/run
  chaos     a real node that is killed, loses power, runs out of disk and loses one of its disks;
            further arguments go to dohle-chaos: kill, power, bytes, full, disk or many (kill and
            power if none is named), --rounds N, --seed S; what a node is at meanwhile: --short,
            --purged, --large, --rolls, --compacted, --moves. If neither is named, a tenth as many
            rounds of each kind follow with most of these at once, twenty at most with --large
  counts    instructions, allocations and system calls of a request: fails where one grew by more
            than a tenth; --bless expects from now on what is found
  bench     Dohle, Apache Kafka and the floor in turn on the same loads; prints ratios, asserts
            nothing; further arguments go to test/bench/run: --cases, --systems, --rounds N, --long
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("{}", told(&error));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    match command.as_str() {
        "check" => steps::check(),
        "layers" => layers::check(),
        "unit" => steps::unit(),
        "protocol" => steps::protocol(),
        "client" => steps::client(),
        "compat" => steps::compat(&rest),
        "chaos" => steps::chaos(&rest),
        "counts" => steps::counts(&rest),
        "bench" => steps::bench(&rest),
        "test" => steps::test(),
        "" | "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => {
            eprintln!("{HELP}");
            bail!("no command {other:?}")
        }
    }
}

/// What went wrong, the step last: of a log often only the end is seen. Without a backtrace, whatever the
/// environment asks for: one of this program tells nothing of the step.
fn told(error: &Error) -> String {
    let causes = error.chain().skip(1).map(|cause| format!("xtask: {cause}\n"));
    causes.chain([format!("xtask: failed: {error}\n")]).collect()
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn the_last_line_is_the_step_that_failed() {
        let error = anyhow!("a\nb").context("one").context("layers");
        assert_eq!(told(&error), "xtask: one\nxtask: a\nb\nxtask: failed: layers\n");
    }
}
