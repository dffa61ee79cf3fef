//! The model on the command line: check, mutants, explain.

mod cli;

fn main() -> std::process::ExitCode {
    cli::run()
}
