//! How the functions under test are linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Tests start this program thousands of times. To be loaded at any address, it would have a
    // quarter of a million addresses put right at each start.
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        println!("cargo::rustc-link-arg-bin=functions-under-test=-no-pie");
    }
}
