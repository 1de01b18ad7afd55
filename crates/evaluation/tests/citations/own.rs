//! Tries the checks themselves on small examples of what they have to find.

use anyhow::Result;

use crate::check::look_at;
use crate::data::{Data, Lines};
use crate::document::{Document, Reading, Syntax};
use crate::{lines, sources};

type Case = (&'static str, fn() -> Result<()>);

pub fn cases() -> Vec<Case> {
    vec![
        ("own::a_row_that_does_not_hold_both_ends_is_refused", rows_are_refused),
        ("own::a_stale_line_is_named_with_the_one_that_has_its_text_now", lines_are_stale),
        ("own::text_that_a_neighbour_has_as_well_is_too_weak", text_is_too_weak),
        ("own::a_version_other_than_the_locked_one_is_named", versions_differ),
        ("own::the_newer_source_is_looked_at_after_a_bump", newer_source),
        ("own::each_form_of_citation_is_found", forms),
        ("own::what_counts_something_is_no_citation", numbers),
        ("own::the_head_of_a_column_and_the_first_cell_name_crate_and_file", tables),
        ("own::string_literals_are_read_without_tests_and_comments", literals),
        ("own::in_comments_a_file_or_a_range_points_to_lines", pointed),
        ("own::a_citation_without_a_row_and_a_row_without_a_citation_are_named", rows_and_citations),
    ]
}

const DATA: &str = r#"
not_lines = { comparison = ["a 409"] }
[[source]]
name = "elector"
version = "1.2.0"
app = "elector"
base = "src"
file = "lease.rs"
lines = [
  { file = "src/lease.rs", at = "2", first = "fn renew", in = ["comparison", "readme"] },
  { file = "src/lease.rs", at = "2-4", first = "fn renew", last = "}", in = ["readme"] },
]
[[source]]
name = "kube-client"
version = "4.2.0"
app = "elector"
base = "src"
[[source]]
name = "kube-client"
version = "5.0.0"
app = "other"
base = "src"
[[source]]
name = "client-go"
module = "k8s.io/client-go"
version = "v0.37.1"
app = "client-go"
base = "tools/leaderelection"
file = "leaderelection.go"
"#;
const SOURCE: &str = "// A lease.\nfn renew() {\n    write();\n}\nfn other() {}\n";

fn document(kind: &'static str, syntax: Syntax, reading: Reading) -> Document {
    let app = ["readme", "template"].contains(&kind).then_some("elector");
    Document { kind, path: "it".to_owned(), app, syntax, reading }
}

fn findings(kind: &'static str, text: &str) -> Result<Vec<String>> {
    Ok(look_at(&Data::parse(DATA)?, &document(kind, Syntax::Markdown, Reading::All), text))
}

/// The citations of a document without rows: `file at`, of the crate if it is not the elector, in order.
fn cited(document: &Document, text: &str) -> Result<Vec<String>> {
    let mut data = Data::parse(DATA)?;
    data.sources.iter_mut().for_each(|source| source.lines.clear());
    let told = |finding: &String| {
        let mut pieces = finding.split('`');
        let at = pieces.nth(1).unwrap_or_default().to_owned();
        let of = pieces.next().and_then(|it| it.strip_prefix(" cites "));
        let of = of.map_or("?".to_owned(), |it| it.replace(", and citations.toml has no row for it in ", ""));
        format!("{} {at}", of.trim_start_matches("elector 1.2.0, "))
    };
    Ok(look_at(&data, document, text).iter().map(told).collect())
}

fn cited_in(kind: &'static str, text: &str) -> Result<Vec<String>> {
    cited(&document(kind, Syntax::Markdown, Reading::All), text)
}

fn rows_are_refused() -> Result<()> {
    let refused =
        |from: &str, to: &str| Data::parse(&DATA.replacen(from, to, 1)).expect_err(to).root_cause().to_string();
    assert!(refused(r#"first = "fn renew", last = "}""#, r#"first = "fn renew""#).contains("needs `last`"));
    assert!(refused(r#"at = "2", first = "fn renew""#, r#"at = "2", first = " ""#).contains("an empty token"));
    assert!(refused(r#"at = "2-4", first = "fn renew", last = "}""#, r#"at = "2", first = "fn""#).contains("two rows"));
    assert!(refused(r#"in = ["readme"]"#, "in = []").contains("cited nowhere"));
    for text in ["0", "4-2", "2-2", "+2", "2-", "x"] {
        assert!(text.parse::<Lines>().is_err(), "{text}");
    }
    Ok(())
}

fn stale(data: &str, text: &str) -> Result<Vec<String>> {
    Ok(lines::stale(&Data::parse(data)?.sources[0], |file| (file == "src/lease.rs").then(|| text.to_owned())))
}

fn lines_are_stale() -> Result<()> {
    assert_eq!(stale(DATA, SOURCE)?, Vec::<String>::new());
    let moved = stale(DATA, &format!("\n{SOURCE}"))?;
    assert_eq!(moved.len(), 3, "{moved:?}");
    let first = "elector 1.2.0, src/lease.rs 2 (in comparison, readme): line 2 is `// A lease.` and does not contain \
                 `fn renew`; line 3 contains it";
    assert_eq!(moved[0], first);
    let end = "elector 1.2.0, src/lease.rs 2-4 (in readme): line 4 is `write();` and does not contain `}`; line 5 contains it";
    assert_eq!(moved[2], end);
    assert_eq!(
        stale(DATA, "")?[0].split_once("): ").map(|it| it.1),
        Some("line 2 is `` and does not contain `fn renew`")
    );
    let gone = stale(&DATA.replace("src/lease.rs", "src/gone.rs"), SOURCE)?;
    assert_eq!(gone[0], "elector 1.2.0, src/gone.rs: there is no such file, but line 2 of it is cited");
    Ok(())
}

fn text_is_too_weak() -> Result<()> {
    let weak = stale(DATA, &SOURCE.replace("    write", "    fn renew"))?;
    assert!(weak[0].ends_with("`fn renew` is too weak for line 2: line 3 contains it as well"), "{weak:?}");
    // A closing brace is the whole line, so one further in is another.
    assert_eq!(stale(DATA, &SOURCE.replace("    write();", "    }"))?, Vec::<String>::new());
    Ok(())
}

fn versions_differ() -> Result<()> {
    let lock = "[[package]]\nname = \"elector\"\nversion = \"1.3.0\"\n[[package]]\nname = \"b\"\nversion = \"1.2.0\"\n";
    let data = Data::parse(DATA)?;
    let error = sources::compare_versions(&data.sources[0], &sources::locked(lock, "elector")?)
        .expect_err("another version")
        .to_string();
    assert!(error.starts_with("citations.toml cites elector 1.2.0, but apps/elector locks 1.3.0: "), "{error}");
    sources::compare_versions(&data.sources[0], &sources::locked(&lock.replace("1.3.0", "1.2.0"), "elector")?)?;
    let gone = sources::compare_versions(&data.sources[0], &sources::locked(lock, "a")?)
        .expect_err("another version")
        .to_string();
    assert!(gone.contains("locks no version: "), "{gone}");
    let required = |text: &str| sources::required(text, "k8s.io/client-go");
    assert_eq!(required("require (\n\tk8s.io/client-go v0.37.1 // indirect\n)\n").as_deref(), Some("v0.37.1"));
    assert_eq!(required("require k8s.io/client-go v0.38.0\n").as_deref(), Some("v0.38.0"));
    assert_eq!(required("require k8s.io/client-go-extra v0.38.0\n"), None);
    Ok(())
}

fn newer_source() -> Result<()> {
    let data = Data::parse(DATA)?;
    let folders = |versions: &[&str]| {
        let folder = |version: &&str| (("elector".to_owned(), (*version).to_owned()), (*version).into());
        versions.iter().map(folder).collect()
    };
    let found = |versions: &[&str]| sources::find(&folders(versions), &data.sources[0]).cloned();
    assert_eq!(found(&["1.2.0", "1.3.0"])?, std::path::PathBuf::from("1.2.0"));
    assert_eq!(found(&["1.3.0"])?, std::path::PathBuf::from("1.3.0"));
    assert!(found(&["1.3.0", "1.4.0"]).is_err() && found(&[]).is_err());
    Ok(())
}

fn forms() -> Result<()> {
    let of = |text| cited_in("comparison", text);
    assert_eq!(
        of("The elector's calls (12-14, 16)\nand 18.")?,
        ["src/lease.rs 12-14", "src/lease.rs 16", "src/lease.rs 18"]
    );
    assert_eq!(of("elector (`README.md` 4; `state.rs` 5 and 6)")?, ["README.md 4", "src/state.rs 5", "src/state.rs 6"]);
    assert_eq!(of("elector: examples/a.rs:7-9: it (src/b.rs:3)")?, ["examples/a.rs 7-9", "src/b.rs 3"]);
    let go = "client-go v0.37.1, tools/leaderelection/leaderelection.go 19-20";
    assert_eq!(of("The elector and client-go (19-20)")?, [go]);
    assert_eq!(of("See `leaderelection.go` 19-20")?, [go]);
    assert_eq!(of("`kube-client` 5.0.0, `src/m.rs` 7")?, ["kube-client 5.0.0, src/m.rs 7"]);
    assert_eq!(of("`kube-client`, `src/m.rs` 7, of which version?")?, ["? 7"]);
    assert_eq!(of("Somewhere (12).\n\nThe elector.\n\nElsewhere (13).")?, ["? 12", "? 13"]);
    assert_eq!(cited_in("readme", "In client-go as in `elector` (12)")?, ["src/lease.rs 12"]);
    Ok(())
}

fn numbers() -> Result<()> {
    let none = "elector 1.2.0 (2 November 2026) needs `kube` 4 or 5 and Go 1.26: 15 s, 2 and 4 s, 1 to 30 s, up to 15 times, \
                0.6 of 5/3/0.5, 50%, 5xx, k8s, a 409.\n<!-- table: t -->\n12\n<!-- end -->\n```\n13\n```\n1. one\n";
    assert_eq!(cited_in("comparison", none)?, Vec::<String>::new());
    assert_eq!(
        cited_in("choosing", "elector: a 409")?,
        ["src/lease.rs 409"],
        "it is exempt in one kind of document only"
    );
    Ok(())
}

fn tables() -> Result<()> {
    let by_column = "| a | elector (`state.rs`) | client-go |\n|---|---|---|\n| x | `f`, 7 | `g`, 8 |\n";
    let go = "client-go v0.37.1, tools/leaderelection/leaderelection.go 8";
    assert_eq!(cited_in("comparison", by_column)?, ["src/state.rs 7", go]);
    let by_row = "| variant | what |\n|---|---|\n| [elector](../apps/elector/README.md) | `state.rs` 7 |\n| client-go | it (8) |\n";
    assert_eq!(cited_in("comparison", by_row)?, ["src/state.rs 7", go]);
    Ok(())
}

fn literals() -> Result<()> {
    let text = "// \"src/a.rs:1\" of 2\nconst C: u8 = 3;\nf(\n    \"leaderelection.go:4 and \\\n     5: it\",\n);\n#[cfg(test)]\n\"6\"";
    let found = cited(&document("e2e", Syntax::Strings, Reading::All), text)?;
    let file = "client-go v0.37.1, tools/leaderelection/leaderelection.go";
    assert_eq!(found, [format!("{file} 4"), format!("{file} 5")]);
    let data = Data::parse(DATA)?;
    let lines = look_at(&data, &document("e2e", Syntax::Strings, Reading::All), text);
    assert!(lines[0].starts_with("it:4: ") && lines[1].starts_with("it:5: "), "{lines:?}");
    Ok(())
}

fn pointed() -> Result<()> {
    let text = "//! It repeats a 429 or 503 (12-14),\n//! as in `state.rs` 15 and 16.\nlet x = 17; // not a line\n";
    let found = cited(&document("template", Syntax::Comments, Reading::Pointed), text)?;
    assert_eq!(found, ["src/lease.rs 12-14", "src/state.rs 15", "src/state.rs 16"]);
    Ok(())
}

fn rows_and_citations() -> Result<()> {
    assert_eq!(findings("readme", "It renews (2, 2-4).")?, Vec::<String>::new());
    let without = findings("readme", "It\nrenews (2, 2-4, 3).")?;
    assert_eq!(
        without,
        ["it:2: `3` cites elector 1.2.0, src/lease.rs, and citations.toml has no row for it in `readme`"]
    );
    let unused = findings("readme", "It renews (2).")?;
    assert_eq!(unused, ["it: citations.toml says that it cites elector 1.2.0, src/lease.rs 2-4, and it does not"]);
    assert_eq!(findings("comparison", "elector (2-4)")?.len(), 2, "a row counts for the documents that it names only");
    Ok(())
}
