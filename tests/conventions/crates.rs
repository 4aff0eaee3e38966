//! Crates: dependencies point down, names are the folders' names, the clock and the environment
//! have one place.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::{Violations, files, function_folders, read, root};

/// Dependencies that `domain` must stay free of: everything that does input or output, waits, or
/// knows a service.
const NOT_IN_DOMAIN: [&str; 12] = [
    "aws", "axum", "futures", "http", "hyper", "lambda", "log", "rand", "reqwest", "tokio",
    "tracing", "tower",
];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 8] =
    ["utils", "util", "helpers", "helper", "common", "manager", "core", "misc"];

/// The layer that a package belongs to, by its folder; a package may depend only on
/// a lower layer.
fn layer(folder: &str) -> usize {
    match folder {
        "functions/domain" => 0,
        "functions/platform" => 1,
        _ if folder.starts_with("functions/") => 2,
        "infra/emulator" => 3,
        "infra/sandbox" => 4,
        _ if folder.starts_with("infra/") => 5,
        "tests" | "tests/bench" | "tests/fuzz" | "tests/model" => 6,
        _ => panic!(
            "{folder}: say in tests/conventions/crates.rs which layer this folder belongs to"
        ),
    }
}

#[test]
fn dependencies_point_down() {
    let packages = packages();
    let mut violations = Violations::default();
    for Package { name, folder, dependencies, .. } in &packages {
        for dependency in dependencies {
            let Some(target) = packages.iter().find(|package| package.name == dependency.name)
            else {
                continue;
            };
            violations.unless(layer(&target.folder) < layer(folder), || {
                format!(
                    "{folder}/Cargo.toml depends on {}, which is not below it (domain ← platform ← functions ← emulator ← \
                     sandbox ← local and admin ← tests): move what both need to a lower layer, `{name}` must not know `{}`",
                    target.folder, target.name
                )
            });
        }
    }

    violations.report();
}

#[test]
fn the_emulator_knows_nothing_of_the_product() {
    let packages = packages();
    let emulator = packages.iter().find(|package| package.folder == "infra/emulator");
    let emulator = emulator.expect("the emulator's package");
    let mut violations = Violations::default();

    for dependency in &emulator.dependencies {
        let is_ours = packages.iter().any(|package| package.name == dependency.name);
        violations.unless(!is_ours, || {
            format!(
                "infra/emulator depends on `{}`: let the caller pass it in as an option, the emulator runs any template",
                dependency.name
            )
        });
    }

    for path in files("infra/emulator") {
        let named = read(&path).to_lowercase().contains("pingback");
        violations.unless(!named, || {
            format!("{} names this product: the emulator runs any template", path.display())
        });
    }

    violations.report();
}

#[test]
fn the_domain_only_computes() {
    let packages = packages();
    let domain =
        packages.iter().find(|package| package.name == "domain").expect("the domain's package");
    let mut violations = Violations::default();

    for dependency in domain.dependencies.iter().filter(|dependency| !dependency.for_tests) {
        let forbidden = NOT_IN_DOMAIN.iter().any(|prefix| dependency.name.starts_with(prefix));
        violations.unless(!forbidden, || {
            format!(
                "domain depends on `{}`: take the value as a parameter, and do that in platform",
                dependency.name
            )
        });
        let reads_clock =
            dependency.features.iter().any(|feature| feature == "clock" || feature == "now");
        violations.unless(!(dependency.name == "chrono" && reads_clock), || {
            "domain's chrono can read the clock: drop the feature and take `now` as a parameter"
                .to_owned()
        });
    }

    violations.report();
}

#[test]
fn packages_and_binaries_are_called_after_their_folder() {
    let packages = packages();
    let mut violations = Violations::default();
    for Package { name, folder, .. } in &packages {
        let last = folder.rsplit('/').next().unwrap_or(folder);
        violations.unless(name == last, || {
            format!("the package in {folder} is called `{name}`: call the package and its folder the same")
        });
    }

    for folder in function_folders() {
        let package =
            packages.iter().find(|package| package.folder == format!("functions/{folder}"));
        let binaries = package.map(|package| package.binaries.as_slice()).unwrap_or_default();
        violations.unless(*binaries == [folder.as_str()], || {
            format!(
                "functions/{folder} builds the binaries {binaries:?}: give it src/main.rs and no other, so that \
                 `{folder}` is the function's name everywhere"
            )
        });
    }

    violations.report();
}

#[test]
fn a_function_starts_in_a_few_lines() {
    let mut violations = Violations::default();
    for folder in function_folders() {
        let main = format!("functions/{folder}/src/main.rs");
        if !root().join(&main).exists() {
            violations.add(format!(
                "{main} is missing: write a main that serves the function of functions/{folder}"
            ));
            continue;
        }
        let lines = read(&main).lines().count();
        violations.unless(lines <= 15, || {
            format!("{main} has {lines} lines: keep it to 15 and move the rest to lib.rs, where tests reach it")
        });
    }

    violations.report();
}

#[test]
fn what_functions_stand_on_is_compiled_once() {
    let trees: Vec<_> = function_folders()
        .into_iter()
        .map(|folder| (features("normal,build", &["--package", &folder]), folder))
        .collect();
    let mut violations = Violations::default();
    let (first, of_first) = &trees[0];

    for (tree, folder) in &trees[1..] {
        for (package, features) in tree {
            let same = first.get(package).is_none_or(|others| others == features);
            violations.unless(same, || {
                format!(
                    "{folder} builds {package} with other features than {of_first} does ({features}), and `sam build` \
                     everything above it twice: ask for the missing ones in functions/platform/Cargo.toml, at its end"
                )
            });
        }
    }

    violations.report();
}

#[test]
fn programs_and_tests_share_what_they_compile() {
    let for_programs = features("normal,build", &[]);
    let for_tests = features("normal,build,dev", &[]);
    let mut violations = Violations::default();

    for (package, features) in &for_programs {
        violations.unless(for_tests.get(package) == Some(features), || {
            format!(
                "{package} has more features in `cargo test` than {features}, and `cargo test` compiles everything \
                 above it a second time: ask in infra/local/Cargo.toml for what a [dev-dependencies] asks for"
            )
        });
    }

    violations.report();
}

/// Each crate that some packages are built of, and with which features: of the workspace's default
/// members if none are named, which are what cargo has fetched by then.
fn features(edges: &str, packages: &[&str]) -> BTreeMap<String, String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.env("CARGO_TERM_COLOR", "never"); // It paints what is read here.
    cargo.args([
        "tree",
        "--offline",
        "--edges",
        edges,
        "--prefix",
        "none",
        "--format",
        "{p} [{f}]",
    ]);

    let output =
        cargo.args(packages).current_dir(root()).output().expect("cargo, which built this test");
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));

    let tree = String::from_utf8(output.stdout).expect("cargo's text");
    // A crate that runs while building has features of its own, and its line then is there twice:
    // both count.
    let mut all = BTreeMap::<String, BTreeSet<String>>::new();

    for (package, features) in
        tree.lines().filter_map(|line| line.trim_end_matches(" (*)").split_once(" ["))
    {
        all.entry(package.to_owned())
            .or_default()
            .insert(features.trim_end_matches(']').to_owned());
    }

    all.into_iter().map(|(package, sets)| (package, Vec::from_iter(sets).join(" and "))).collect()
}

#[test]
fn names_say_what_is_inside() {
    let mut violations = Violations::default();
    for path in ["functions", "infra", "tests"].into_iter().flat_map(files) {
        let stems = path
            .iter()
            .map(|part| Path::new(part).file_stem().unwrap_or_default().to_string_lossy());
        for stem in stems.filter(|stem| EMPTY_NAMES.contains(&stem.to_lowercase().as_str())) {
            violations.add(format!(
                "{}: `{stem}` says nothing; name it after what it does",
                path.display()
            ));
        }
    }

    violations.report();
}

#[test]
fn clock_and_environment_have_one_place() {
    const CLOCK: (&str, &[&str]) =
        ("functions/platform/src/clock", &["Utc::now", "SystemTime::now"]);
    const ENVIRONMENT: (&str, &[&str]) = ("functions/platform/src/settings", &["std::env"]);

    let mut violations = Violations::default();
    for path in files("functions")
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
    {
        let text = read(&path);
        let code = text.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
        for (line, (place, calls)) in code.flat_map(|line| [(line, CLOCK), (line, ENVIRONMENT)]) {
            let elsewhere = !path.to_string_lossy().starts_with(place);
            for call in calls.iter().filter(|call| elsewhere && line.contains(**call)) {
                violations
                    .add(format!("{} uses {call}: that is what {place} is for", path.display()));
            }
        }
    }

    violations.report();
}

/// A package of the workspace, as far as these tests look at it.
struct Package {
    name: String,
    /// From the root.
    folder: String,
    binaries: Vec<String>,
    dependencies: Vec<Dependency>,
}

struct Dependency {
    name: String,
    for_tests: bool,
    features: Vec<String>,
}

/// The workspace's packages, as cargo reads the manifests.
fn packages() -> Vec<Package> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]).current_dir(root());
    let output = cargo.output().expect("cargo, which built this test");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo's JSON");
    list(&metadata["packages"]).map(package).collect()
}

fn package(package: &Value) -> Package {
    let manifest = Path::new(text(&package["manifest_path"]));
    let folder = manifest.parent().expect("a manifest is in a folder");
    let binaries =
        list(&package["targets"]).filter(|target| list(&target["kind"]).any(|kind| kind == "bin"));

    Package {
        name: text(&package["name"]).to_owned(),
        folder: folder
            .strip_prefix(root())
            .expect("a member of this workspace")
            .to_string_lossy()
            .replace('\\', "/"),
        binaries: binaries.map(|target| text(&target["name"]).to_owned()).collect(),
        dependencies: list(&package["dependencies"]).map(dependency).collect(),
    }
}

fn dependency(dependency: &Value) -> Dependency {
    Dependency {
        name: text(&dependency["name"]).to_owned(),
        for_tests: dependency["kind"] == "dev",
        features: list(&dependency["features"]).map(|feature| text(feature).to_owned()).collect(),
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
