//! One binary: the local system, and each of its functions.

fn main() -> std::process::ExitCode {
    local::main()
}
