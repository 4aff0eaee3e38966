//! Modules of a crate use each other in one direction.
//!
//! At every level of a crate's tree, a module's own file and the modules below it (each with all
//! that is below it in turn) must not form an import circle. So two sibling modules do not use each
//! other, whichever of their files do it, and a module does not import from its parent what the
//! parent defines by using that module.
//!
//! An import is a `use` of `crate::…`, `super::…`, `self::…` or of a child module, or such a path
//! in the code. It counts for the file that defines the name: a re-export (`pub use child::Name`)
//! is followed to `child`, and is itself no import, like `mod child`. Tests do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::{Violations, files, read};

/// A module by the names that lead to it from the crate's root, which has none.
type Module = Vec<String>;

#[test]
fn modules_of_a_crate_have_no_circles() {
    let mut violations = Violations::default();

    for folder in crate_folders() {
        for circle in Sources::of(&folder).circles() {
            violations.add(format!(
                "{folder}: {circle}: move what both sides need to a module below both, or let the caller pass it in"
            ));
        }
    }

    violations.report();
}

#[test]
fn imports_are_understood() {
    let sources = Sources::parse([
        ("", "mod a;\nmod b;\npub use a::{Thing, inner::Deep};\nfn f() { b::run() }"),
        ("a", "mod inner;\npub(crate) use inner::Deep;\nuse crate::b;\npub struct Thing;"),
        ("a::inner", "use super::Thing;\n// use crate::b::no;\npub struct Deep;"),
        (
            "b",
            "use crate::{Deep,\n    Thing as Other};\n#[cfg(test)]\nmod tests { use crate::c::No; }",
        ),
    ]);

    let imports: Vec<String> =
        sources.imports().into_iter().map(|import| import.to_string()).collect();
    assert_eq!(imports, ["crate → b", "a → b", "a::inner → a", "b → a", "b → a::inner"]);

    assert_eq!(sources.circles(), ["a → b (a → b), b → a (b → a, b → a::inner)"]);
}

#[test]
fn a_parent_that_uses_its_child_is_not_used_by_it() {
    let sources = Sources::parse([
        ("", "mod a;"),
        ("a", "mod inner;\npub struct Thing(inner::Part);"),
        ("a::inner", "use super::Thing;"),
    ]);

    assert_eq!(sources.circles(), ["a → a::inner (a → a::inner), a::inner → a (a::inner → a)"]);
}

/// The folders of the crates that this looks at.
fn crate_folders() -> BTreeSet<String> {
    let manifests = ["functions", "infra"].into_iter().flat_map(files);
    let manifests = manifests.filter(|path| path.ends_with("Cargo.toml"));
    manifests.filter_map(|path| Some(path.parent()?.to_string_lossy().replace('\\', "/"))).collect()
}

/// A crate's modules, each with its code.
struct Sources(BTreeMap<Module, Code>);

/// The part of a module's code that the search for circles needs.
struct Code {
    /// The meanings of the names that a `use` brings in.
    bindings: BTreeMap<String, Vec<String>>,
    /// Paths that are used: of private imports, and in the code.
    used: BTreeSet<Vec<String>>,
}

/// One module uses what another defines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Import {
    from: Module,
    to: Module,
}

impl std::fmt::Display for Import {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} → {}", name(&self.from), name(&self.to))
    }
}

impl Sources {
    /// The library of the crate in a folder.
    fn of(folder: &str) -> Self {
        let source = format!("{folder}/src");
        let modules = files(&source).into_iter().filter_map(|path| {
            let module = module_of(path.strip_prefix(&source).ok()?)?;
            Some((module, read(&path)))
        });
        let modules: BTreeMap<_, _> = modules.collect();
        let names: BTreeSet<Module> = modules.keys().cloned().collect();

        Self(
            modules
                .into_iter()
                .map(|(module, text)| (module.clone(), Code::read(&module, &text, &names)))
                .collect(),
        )
    }

    fn parse<const N: usize>(modules: [(&str, &str); N]) -> Self {
        let module = |name: &str| {
            name.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect::<Module>()
        };
        let names: BTreeSet<Module> = modules.iter().map(|(name, _)| module(name)).collect();
        let code =
            |(name, text): (&str, &str)| (module(name), Code::read(&module(name), text, &names));
        Self(modules.map(code).into())
    }

    /// Every import from one module to another.
    fn imports(&self) -> BTreeSet<Import> {
        let of_module = |(from, code): (&Module, &Code)| {
            let targets =
                code.used.iter().filter_map(|path| self.definer(path, 0)).collect::<BTreeSet<_>>();
            let others = targets.into_iter().filter(|to| to != from).collect::<Vec<_>>();
            others.into_iter().map(|to| Import { from: from.clone(), to }).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of_module).collect()
    }

    /// The module that defines what a path from the crate's root names.
    fn definer(&self, path: &[String], followed: usize) -> Option<Module> {
        let depth = (0..=path.len()).rev().find(|depth| self.0.contains_key(&path[..*depth]))?;
        let (module, rest) = path.split_at(depth);
        let binding = rest.first().and_then(|name| self.0[module].bindings.get(name));

        match binding {
            // A re-export of itself, which only a glob could be, ends somewhere.
            Some(target) if followed < 8 => {
                let target = [target.as_slice(), &rest[1..]].concat();
                self.definer(&target, followed + 1)
            }
            _ => Some(module.to_vec()),
        }
    }

    /// The circles at each level of the tree, each as its imports.
    fn circles(&self) -> Vec<String> {
        let imports = self.imports();
        self.0.keys().flat_map(|level| circles_at(level, &imports)).collect()
    }
}

/// The circles among a module's own file and its children.
fn circles_at(level: &[String], imports: &BTreeSet<Import>) -> Vec<String> {
    let below = |module: &Module| module.starts_with(level);
    let side = |module: &Module| module[..module.len().min(level.len() + 1)].to_vec();
    let mut arrows: BTreeMap<(Module, Module), Vec<&Import>> = BTreeMap::new();

    for import in imports.iter().filter(|import| below(&import.from) && below(&import.to)) {
        let from = side(&import.from);
        let to = side(&import.to);
        if from != to {
            arrows.entry((from, to)).or_default().push(import);
        }
    }

    let reaches = |from: &Module, to: &Module| {
        let mut reached = BTreeSet::from([from.clone()]);
        let mut left = vec![from.clone()];
        while let Some(here) = left.pop() {
            let next = arrows.keys().filter(|(from, _)| *from == here).map(|(_, to)| to);
            left.extend(next.filter(|next| reached.insert((*next).clone())).cloned());
        }
        reached.contains(to)
    };

    // Arrows that lead back form circles; those that meet are told as one.
    let mut circles: BTreeMap<BTreeSet<Module>, Vec<String>> = BTreeMap::new();
    for ((from, to), imports) in &arrows {
        if reaches(to, from) {
            let sides = arrows.keys().flat_map(|(from, to)| [from, to]);
            let circle = sides.filter(|side| reaches(from, side) && reaches(side, from)).cloned();
            let ties = imports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            circles.entry(circle.collect()).or_default().push(format!(
                "{} → {} ({ties})",
                name(from),
                name(to)
            ));
        }
    }

    circles.into_values().map(|arrows| arrows.join(", ")).collect()
}

impl Code {
    fn read(module: &[String], text: &str, modules: &BTreeSet<Module>) -> Self {
        let text = without_tests(&without_comments(text));
        let absolute = |path: &[String]| absolute(module, path, modules);
        let mut code = Self { bindings: BTreeMap::new(), used: BTreeSet::new() };

        let mut rest = String::new();

        for statement in text.split_inclusive([';', '}', '{']).fold(Vec::new(), whole_statements) {
            match use_of(&statement) {
                Some((is_public, tree)) => {
                    for (path, alias) in leaves(tree) {
                        let Some(path) = absolute(&path) else { continue };
                        if !is_public {
                            code.used.insert(path.clone());
                        }
                        code.bindings.insert(alias, path);
                    }
                }
                None => rest.push_str(&statement),
            }
        }

        let is_part = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
        for path in rest.split(|letter| !is_part(letter)).filter(|path| path.contains("::")) {
            let path: Vec<String> = path.split("::").map(str::to_owned).collect();
            code.used.extend(absolute(&path));
        }

        code
    }
}

/// A `use` statement is one, although it has braces inside.
fn whole_statements(mut statements: Vec<String>, part: &str) -> Vec<String> {
    let is_open = |statement: &String| use_of(statement).is_some() && !statement.ends_with(';');
    match statements.last_mut() {
        Some(last) if is_open(last) => last.push_str(part),
        _ => statements.push(part.to_owned()),
    }
    statements
}

/// Whether a `use` statement re-exports, and what it uses.
fn use_of(statement: &str) -> Option<(bool, &str)> {
    let statement = statement.trim_start();
    let statement = match statement.starts_with("#[") {
        true => statement.split_once(']')?.1.trim_start(),
        false => statement,
    };

    if let Some(tree) = statement.strip_prefix("use ") {
        return Some((false, tree.trim_end_matches(';')));
    }

    let rest = statement.strip_prefix("pub")?;
    let rest = match rest.strip_prefix('(') {
        Some(rest) => rest.split_once(')')?.1,
        None => rest,
    };

    Some((true, rest.strip_prefix(" use ")?.trim_end_matches(';')))
}

/// The paths of a `use` tree, each with the name that it is known by.
fn leaves(tree: &str) -> Vec<(Vec<String>, String)> {
    fn collect(before: &[String], tree: &str, into: &mut Vec<(Vec<String>, String)>) {
        let tree = tree.trim();
        if let Some((path, inside)) = tree.split_once('{') {
            let parts = path.split("::").map(str::trim).filter(|part| !part.is_empty());
            let before: Vec<String> =
                before.iter().cloned().chain(parts.map(str::to_owned)).collect();
            let inside = inside.trim_end().strip_suffix('}').unwrap_or(inside);
            split_list(inside).into_iter().for_each(|branch| collect(&before, branch, into));
        } else if !tree.is_empty() {
            let (path, alias) =
                tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias)));
            let parts = path.split("::").map(|part| part.trim().to_owned());
            let mut path: Vec<String> = before.iter().cloned().chain(parts).collect();
            path.pop_if(|last| last == "self" && !before.is_empty());
            let last = path.last().cloned().unwrap_or_default();
            into.push((path, alias.map_or(last, |alias| alias.trim().to_owned())));
        }
    }

    let mut all = Vec::new();

    collect(&[], tree, &mut all);
    all
}

/// The branches of a list, which may hold lists.
fn split_list(list: &str) -> Vec<&str> {
    let mut depth = 0;
    let is_end = move |letter: char| {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        letter == ',' && depth == 0
    };
    list.split(is_end).collect()
}

/// A path from the crate's root, if it begins in this crate.
fn absolute(module: &[String], path: &[String], modules: &BTreeSet<Module>) -> Option<Vec<String>> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" => Some([module, rest].concat()),
        "super" => {
            let ups = path.iter().take_while(|part| *part == "super").count();
            let base = module.get(..module.len().checked_sub(ups)?)?;
            Some([base, &path[ups..]].concat())
        }
        _ => {
            let child = [module, std::slice::from_ref(first)].concat();
            modules.contains(&child).then(|| [child.as_slice(), rest].concat())
        }
    }
}

/// The module in a file below `src`; none in a program or a test.
fn module_of(path: &Path) -> Option<Module> {
    let name = path.to_string_lossy().replace('\\', "/");
    let stem = name.strip_suffix(".rs")?.trim_end_matches("/mod");
    match stem {
        "lib" => Some(Vec::new()),
        "main" => None,
        _ if stem.split('/').any(|part| part == "tests") => None,
        _ => Some(stem.split('/').map(str::to_owned).collect()),
    }
}

/// The text without comments; what looks like one inside a string goes as well, and is no import.
fn without_comments(text: &str) -> String {
    let code = text.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code));
    code.collect::<Vec<_>>().join("\n")
}

/// The text up to its tests, which stand at its end unless they have a file of their own.
fn without_tests(text: &str) -> String {
    let tests = text
        .match_indices("#[cfg(test)]\nmod ")
        .find(|(begin, _)| text[*begin..].lines().nth(1).is_some_and(|line| line.contains('{')));
    tests.map_or(text, |(begin, _)| &text[..begin]).to_owned()
}

fn name(module: &[String]) -> String {
    if module.is_empty() { "crate".to_owned() } else { module.join("::") }
}
