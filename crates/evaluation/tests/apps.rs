//! Each Rust variant is a project that can be copied: a workspace of its own, held to what the root workspace is held to.
//! Of those that show a crate, the template is one short file that names nothing from the rest of the repository.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use still_leading_testbed::workspace;
use toml::Table;

/// What a template may use besides std and the one crate it shows.
const COMMON: [&str; 9] =
    ["anyhow", "http", "http_body_util", "k8s_openapi", "kube", "tokio", "tokio_util", "tower", "tracing"];

/// The folders in `apps/` and `examples/` that cargo builds.
fn apps() -> Vec<PathBuf> {
    let in_folder = |name| fs::read_dir(workspace().join(name)).expect("a folder of projects").flatten();
    let folders = ["apps", "examples"].into_iter().flat_map(in_folder).map(|entry| entry.path());
    let mut apps: Vec<_> = folders.filter(|folder| folder.join("Cargo.toml").is_file()).collect();
    apps.sort();
    assert!(apps.len() >= 7, "the Rust variants are not where they are looked for: {apps:?}");
    apps
}

/// Those that show a crate of other people, and so come in two forms.
fn apps_of_crates() -> Vec<PathBuf> {
    let mut apps = apps();
    apps.retain(|folder| folder.join("examples/as_documented.rs").is_file());
    assert!(apps.len() >= 4, "the variants of crates are not where they are looked for: {apps:?}");
    apps
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn manifest(folder: &Path) -> Table {
    read(&folder.join("Cargo.toml")).parse().unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
}

fn name(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What a copied folder cannot inherit from the root, and where it says something else.
fn differences(app: &Table, root: &Table) -> Vec<String> {
    let shared = [("lints", root["workspace"].get("lints")), ("profile", root.get("profile"))];
    let differing = shared.into_iter().filter(|(key, at_root)| app.get(*key) != *at_root);
    differing.map(|(key, at_root)| format!("[{key}] is {:?}, at the root {at_root:?}", app.get(key))).collect()
}

/// The lines of code, without comments and without the tests, which come last.
fn code(source: &str) -> impl Iterator<Item = &str> {
    let lines = source.lines().take_while(|line| line.trim() != "#[cfg(test)]");
    lines.map(|line| line.split("//").next().unwrap_or_default())
}

/// Where the paths of a source begin: `tokio` of `tokio::select!`, but not `time` of `tokio::time::sleep`.
fn roots(source: &str) -> BTreeSet<&str> {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    let mut roots = BTreeSet::new();
    for line in code(source) {
        for (at, _) in line.match_indices("::") {
            let before = &line[..at];
            let from = before.rfind(|letter| !is_part(letter)).map_or(0, |at| at + 1);
            if from < at && !before[..from].ends_with("::") {
                roots.insert(&before[from..]);
            }
        }
    }
    roots
}

/// What a template names and should not: a dependency that only the application may use, or a part of the application.
fn strangers<'a>(source: &'a str, app: &Table) -> Vec<&'a str> {
    let dependencies: BTreeSet<String> =
        app["dependencies"].as_table().into_iter().flat_map(Table::keys).map(|it| in_code(it)).collect();
    let is_elsewhere = |root: &str| dependencies.contains(root) || ["crate", "super"].contains(&root);
    let package = app["package"]["name"].as_str().unwrap_or_default();
    let own = in_code(package.trim_start_matches("still-leading-"));
    roots(source).into_iter().filter(|root| is_elsewhere(root) && !COMMON.contains(root) && *root != own).collect()
}

fn in_code(package: &str) -> String {
    package.replace('-', "_")
}

/// Nothing is wrong with any of `apps`; else, all that is.
fn check(apps: Vec<PathBuf>, wrong: impl Fn(&Path) -> Vec<String>) {
    let found = apps.into_iter().flat_map(|app| wrong(&app).into_iter().map(move |it| format!("{}: {it}", name(&app))));
    assert_eq!(found.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn an_app_has_the_lints_and_the_profiles_of_the_root() {
    let root = manifest(&workspace());
    check(apps(), |app| differences(&manifest(app), &root));
}

/// Its folder can be copied as well, and inherits nothing. Profiles are those of whoever builds it.
#[test]
fn the_library_has_the_lints_of_the_root_and_inherits_nothing() {
    let (root, library) = (manifest(&workspace()), workspace().join("crates/still-leading"));
    assert_eq!(manifest(&library).get("lints"), root["workspace"].get("lints"));
    let text = read(&library.join("Cargo.toml"));
    assert!(!text.contains("workspace = true"), "it inherits from the workspace");
    let package = &root["workspace"]["package"];
    for field in ["edition", "rust-version", "license"] {
        assert_eq!(manifest(&library)["package"].get(field), package.get(field), "{field}");
    }
}

#[test]
fn an_app_is_a_workspace_with_a_lock_file_and_is_called_by_its_folder() {
    check(apps(), |app| {
        let manifest = manifest(app);
        let is_named = manifest["package"]["name"].as_str() == Some(&format!("still-leading-{}", name(app)));
        let wrong = [
            (manifest.contains_key("workspace"), "it is no workspace of its own"),
            (app.join("Cargo.lock").is_file(), "it has no Cargo.lock"),
            (is_named, "it has another name"),
        ];
        wrong.into_iter().filter(|(is_right, _)| !is_right).map(|(_, what)| what.to_owned()).collect()
    });
}

#[test]
fn a_template_names_nothing_but_its_crate_and_what_every_template_uses() {
    check(apps_of_crates(), |app| {
        let source = read(&app.join("src/election.rs"));
        strangers(&source, &manifest(app)).into_iter().map(|it| format!("src/election.rs names {it}")).collect()
    });
}

// The checks themselves, on what they are to find.

#[test]
fn another_lint_or_profile_is_a_difference() {
    let root: Table = "[workspace.lints.rust]\nunsafe_code = 'forbid'\n[profile.dev]\ndebug = 1\n".parse().unwrap();
    let of = |app: &str| differences(&app.parse().unwrap(), &root).len();
    assert_eq!(of("[lints.rust]\nunsafe_code = 'forbid'\n[profile.dev]\ndebug = 1\n"), 0);
    assert_eq!(of("[lints.rust]\nunsafe_code = 'deny'\n[profile.dev]\ndebug = 1\n"), 1);
    assert_eq!(
        of("[lints.rust]\nunsafe_code = 'forbid'\n[profile.dev]\ndebug = 1\n[profile.release]\nlto = true\n"),
        1
    );
    assert_eq!(of("[package]\nname = 'x'\n"), 2);
}

#[test]
fn a_template_that_names_a_stranger_is_found_wherever_it_does() {
    const APP: &str = "[package]\nname = 'still-leading-an-elector'\n[dependencies]\nan-elector = '1'\nkube = '5'\n\
                       jiff = '0.2'\nstill-leading-scaffold = {path = '../scaffold'}\ntokio = '1'\n";
    const GOOD: &str = "//! See crate::other.\nuse std::time::Duration;\nuse tokio::sync::watch::{self, Sender};\n\
                        use an_elector::Lock;\nfn f() { watch::channel(Duration::ZERO); kube::jiff::now(); }\n\
                        #[cfg(test)]\nmod tests { use super::f; }\n";
    let of = |line: &str| {
        let source = line.to_owned() + "\n" + GOOD;
        strangers(&source, &APP.parse().unwrap()).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(of(""), Vec::<String>::new());
    assert_eq!(of("use still_leading_scaffold::App;"), ["still_leading_scaffold"]);
    assert_eq!(of("use crate::lease::step;"), ["crate"]);
    assert_eq!(of("fn g() { jiff::Timestamp::now(); }"), ["jiff"]);
    assert_eq!(of("pub(crate) type T = Vec<super::Lease>;"), ["super"]);
}
