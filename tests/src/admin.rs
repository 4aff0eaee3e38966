//! The operator's command line under test.

fn main() -> std::process::ExitCode {
    admin::main()
}
