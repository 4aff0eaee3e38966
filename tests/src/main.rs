//! The functions under test, each as the process that Lambda would start.

fn main() -> std::process::ExitCode {
    local::main()
}
