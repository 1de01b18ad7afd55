//! The suite tried on itself: each thing that it is there to find, broken on purpose, is found, and by its own words.

mod broken;

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use still_leading_testbed::{ServerKind, Variant};

use crate::case::{Case, Need, Run};
use crate::findings::Findings;
use crate::lists::{CHOOSING, Sources, look_at_lists, look_at_skaffold};
use crate::look::look;
use crate::objects::{Objects, Workload};
use crate::overlay::Overlay;
use crate::permissions::{Permissions, compare, granted};
use crate::server::try_to_create;
use crate::world::World;
use crate::{belonging, used};
use broken::Row;

const NATIVE: Overlay = Overlay::Variant(Variant::Native);
const KUBERT: Overlay = Overlay::Variant(Variant::Kubert);

pub fn cases() -> Vec<Case> {
    let case = |name, needs, run| Case { name, needs, run: Run::Once(run) };
    vec![
        case("suite::what_is_broken_in_a_manifest_is_found", &[], |_| in_a_manifest()),
        case("suite::what_is_broken_in_a_component_is_found", &[Need::Kubectl], |world| {
            in_all_components(world, NATIVE, broken::COMPONENTS)
        }),
        case("suite::what_is_broken_in_the_example_is_found", &[Need::Kubectl], |world| {
            in_all_components(world, Overlay::Controller, broken::CONTROLLER)
        }),
        case("suite::what_is_broken_in_a_list_is_found", &[], |_| in_a_list()),
        case("suite::what_is_broken_in_skaffold_yaml_is_found", &[], |_| in_skaffold()),
        case("suite::a_field_or_a_kind_that_is_unknown_is_an_error", &[], |_| unknown_things_are_errors()),
        case("suite::a_field_that_the_real_api_server_does_not_know_is_refused", &[Need::RealServer], |world| {
            world.run(unknown_field_is_refused(world))
        }),
        case("suite::a_selector_that_finds_the_pods_of_another_is_found", &[], |_| a_shared_selector_is_found()),
        case("suite::a_request_is_told_as_the_right_that_it_takes", &[], |_| requests_are_told_as_rights()),
        case("suite::a_right_that_only_one_has_is_told", &[], |_| differing_rights_are_told()),
    ]
}

fn in_a_manifest() -> Result<()> {
    let objects = Objects::shipped(NATIVE)?;
    each(broken::MANIFEST, |row| Ok(look(NATIVE, &changed(&objects, row)?, &[])))
}

fn in_all_components(world: &World, overlay: Overlay, rows: &[Row]) -> Result<()> {
    let rendered = world.rendered(overlay)?.last().context("nothing is rendered")?;
    let components = &rendered.components;
    each(rows, |row| Ok(look(overlay, &changed(&rendered.objects, row)?, components)))
}

fn in_skaffold() -> Result<()> {
    each(broken::SKAFFOLD, |row| {
        let mut sources = Sources::read()?;
        patch(&mut sources.skaffold, row.1)?;
        Ok(look_at_skaffold(&sources))
    })
}

fn in_a_list() -> Result<()> {
    each(broken::PROFILES, |row| {
        let mut sources = Sources::read()?;
        patch(&mut sources.skaffold, row.1)?;
        Ok(look_at_lists(&sources))
    })?;
    for place in 0..3 {
        let changes: [fn(&mut BTreeSet<String>) -> bool; 2] =
            [|it| it.remove("kubert"), |it| it.insert("x".to_owned())];
        for change in changes {
            let mut sources = Sources::read()?;
            change(&mut sources.called[place].1);
            let what = sources.called[place].0;
            tells(look_at_lists(&sources), what)?;
        }
    }
    let mut sources = Sources::read()?;
    sources.choosing =
        sources.choosing.replace("| [kubert](../apps/kubert/README.md)", "| [kubert](../apps/cubert/README.md)");
    tells(look_at_lists(&sources), CHOOSING)?;
    let mut sources = Sources::read()?;
    sources.justfile += "run VARIANT=\"kubert\":\n";
    tells(look_at_lists(&sources), "the Justfile has another default")
}

fn unknown_things_are_errors() -> Result<()> {
    let account = |more: &str| format!("{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: x{more}}}}}");
    let parse = |yaml: &str| Objects::parse(yaml).map(drop).map_err(|error| format!("{error:#}"));
    ensure!(parse(&account("")).is_ok());
    let wrong = [
        (account(", annotation: {}"), "no such fields: /metadata/annotation"),
        (account("").replace("v1", "v2"), "is of \"v2\""),
        (account("").replace("ServiceAccount", "Gadget"), "kind \"Gadget\""),
        ([account(""), account("")].join("\n---\n"), "two objects of kind ServiceAccount"),
    ];
    for (yaml, wanted) in wrong {
        let error = parse(&yaml).err().with_context(|| format!("no error of {yaml}"))?;
        ensure!(error.contains(wanted), "{yaml}: {error}");
    }
    Ok(())
}

async fn unknown_field_is_refused(world: &World) -> Result<()> {
    let client = world.server(ServerKind::Real).await?.client()?;
    let mut account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "x"}});
    let answer = try_to_create(&client, &account, "default").await?;
    ensure!(answer.is_clean(), "{answer:?}");
    account["gadget"] = json!(1);
    let answer = try_to_create(&client, &account, "default").await?;
    ensure!(answer.status == 400 && answer.message.contains("unknown field \"gadget\""), "{answer:?}");
    Ok(())
}

fn a_shared_selector_is_found() -> Result<()> {
    let workload = |patched: &'static str| -> Result<Workload> {
        changed(&Objects::shipped(KUBERT)?, &("Deployment", patched, "")).and_then(|it| it.workload())
    };
    let native = Objects::shipped(NATIVE)?.workload()?;
    let wide = r#"[{"op": "remove", "path": "/spec/selector/matchLabels/app.kubernetes.io~1instance"}]"#;
    let all = [(NATIVE, native), (KUBERT, workload(wide)?)];
    tells(belonging::look_at_strangers(&all), "the selector of kubert finds the pods of native")
}

fn requests_are_told_as_rights() -> Result<()> {
    const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/ns/leases";
    let told = |verb: &str, rest: &str| used::right(verb, &format!("{LEASES}{rest}"), "ns").unwrap_or_default();
    let rights = [
        told("get", "/x"),
        told("patch", "/x?fieldManager=y&force=true"),
        told("create", "?"),
        told("list", "?&limit=500"),
        told("list", "?&fieldSelector=metadata.name%3Dx&limit=500"),
        told("watch", "?watch=true&fieldSelector=metadata.name=x"),
        told("list", "?&labelSelector=metadata.name%3Dx"),
    ];
    let [any, x] = ["leases.coordination.k8s.io", "leases.coordination.k8s.io/x"];
    let wanted = [("get", x), ("patch", x), ("create", any), ("list", any), ("list", x), ("watch", x), ("list", any)];
    ensure!(rights == wanted.map(|(verb, what)| format!("{verb} {what}")), "{rights:?}");
    ensure!(used::right("create", "/api/v1/namespaces/ns/events", "ns").is_err());
    ensure!(used::right("get", "/apis/coordination.k8s.io/v1/namespaces/other/leases/x", "ns").is_err());
    Ok(())
}

fn differing_rights_are_told() -> Result<()> {
    let rule = |verbs: &[&str], names: &[&str]| -> Result<Permissions> {
        let rule = json!({"apiGroups": ["g"], "resources": ["r"], "verbs": verbs, "resourceNames": names});
        Ok(granted(&[serde_json::from_value(rule)?]))
    };
    let told = |one: Permissions, other| compare(("one", &one), ("other", &other)).into_lines();
    ensure!(told(rule(&["a", "b"], &["x"])?, rule(&["b", "a"], &["x"])?).is_empty());
    let more = told(rule(&["a", "b"], &["x"])?, rule(&["a"], &["x"])?);
    ensure!(more == [r#"one, but not other: ["b r.g/x"]"#], "{more:?}");
    let wider = told(rule(&["a"], &["x"])?, rule(&["a"], &[])?);
    ensure!(wider == [r#"one, but not other: ["a r.g/x"]"#, r#"other, but not one: ["a r.g"]"#], "{wider:?}");
    Ok(())
}

/// What a row breaks is found, and reported as the row says.
fn each(rows: &[Row], look: impl Fn(&Row) -> Result<Findings>) -> Result<()> {
    let wrong = rows.iter().filter_map(|row| look(row).and_then(|found| tells(found, row.2)).err());
    let wrong: Vec<String> = wrong.map(|error| format!("{error:#}")).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

fn tells(findings: Findings, wanted: &str) -> Result<()> {
    let found = findings.into_lines();
    if !found.iter().any(|line| line.contains(wanted)) {
        bail!("{wanted:?} was broken, and this was found: {found:?}");
    }
    Ok(())
}

/// The same objects, of which the one of a kind is patched.
fn changed(objects: &Objects, (kind, change, _): &Row) -> Result<Objects> {
    let mut objects = objects.clone();
    let object = objects.0.iter_mut().find(|object| object["kind"] == *kind);
    patch(object.with_context(|| format!("there is no {kind}"))?, change)?;
    Ok(objects)
}

/// Written as a JSON patch, or as the one operation of it.
fn patch(value: &mut Value, change: &str) -> Result<()> {
    let change: Value = serde_saphyr::from_str(change).with_context(|| format!("reading {change}"))?;
    let operations = if change.is_array() { change } else { json!([change]) };
    let operations: json_patch::Patch = serde_json::from_value(operations)?;
    json_patch::patch(value, &operations).with_context(|| format!("changing by {operations}"))
}
