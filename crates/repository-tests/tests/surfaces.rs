//! The templates are interchangeable: each `election.rs` has the same surface, so that only the crate behind it differs.

use std::collections::BTreeMap;

use quote::ToTokens;
use still_leading_testbed::Variant;
use syn::{Attribute, Fields, ImplItem, Item, ItemStruct, Signature, Visibility};

/// What is public, in order, and how it looks.
#[derive(Debug, PartialEq)]
struct Surface {
    names: Vec<String>,
    /// By name: fields and methods with their documentation, signatures of functions.
    looks: BTreeMap<String, Vec<String>>,
}

fn surface(source: &str) -> Surface {
    let file = syn::parse_file(source).expect("it parses");
    let mut surface = Surface { names: Vec::new(), looks: BTreeMap::new() };
    for item in &file.items {
        match item {
            Item::Struct(it) if is_public(&it.vis) => surface.add(&it.ident, of_struct(it)),
            Item::Fn(it) if is_public(&it.vis) => surface.add(&it.sig.ident, vec![of_signature(&it.sig)]),
            Item::Impl(it) if it.trait_.is_none() => {
                let public = it.items.iter().filter_map(|item| match item {
                    ImplItem::Fn(method) if is_public(&method.vis) => {
                        Some(format!("{} {}", docs(&method.attrs), of_signature(&method.sig)))
                    }
                    _ => None,
                });
                let looks = surface.looks.entry(it.self_ty.to_token_stream().to_string()).or_default();
                looks.extend(public);
            }
            Item::Enum(it) if is_public(&it.vis) => surface.add(&it.ident, vec!["an enum".to_owned()]),
            Item::Type(it) if is_public(&it.vis) => surface.add(&it.ident, vec!["an alias".to_owned()]),
            Item::Use(it) if is_public(&it.vis) => surface.names.push(it.to_token_stream().to_string()),
            _ => {}
        }
    }
    surface.looks.retain(|_, looks| !looks.is_empty());
    surface
}

impl Surface {
    fn add(&mut self, name: &syn::Ident, looks: Vec<String>) {
        self.names.push(name.to_string());
        self.looks.entry(name.to_string()).or_default().splice(0..0, looks);
    }

    /// The library makes its client itself and of an `Access`, so its adapter has a type and a function of these names of its own.
    fn without_own_client(mut self) -> Self {
        self.looks.remove("client");
        self.names.retain(|name| name != "Client");
        self.looks.remove("Client");
        self
    }
}

fn of_struct(it: &ItemStruct) -> Vec<String> {
    let derives = it.attrs.iter().filter(|attr| !attr.path().is_ident("doc")).map(tokens);
    let fields: Box<dyn Iterator<Item = String>> = match &it.fields {
        Fields::Named(fields) => Box::new(fields.named.iter().filter(|field| is_public(&field.vis)).map(|field| {
            let name = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("{} {name}: {}", docs(&field.attrs), tokens(&field.ty))
        })),
        _ => Box::new(std::iter::empty()),
    };
    [docs(&it.attrs)].into_iter().chain(derives).chain(fields).collect()
}

fn of_signature(signature: &Signature) -> String {
    // Whether a parameter is changed inside does not show outside.
    tokens(signature).replace("mut ", "")
}

fn docs(attrs: &[Attribute]) -> String {
    attrs.iter().filter(|attr| attr.path().is_ident("doc")).map(tokens).collect()
}

fn tokens(it: &impl ToTokens) -> String {
    it.to_token_stream().to_string()
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn read(variant: Variant) -> String {
    std::fs::read_to_string(variant.folder().join("src/election.rs")).expect("a template")
}

#[test]
fn every_template_has_the_surface_of_native() {
    let native = surface(&read(Variant::Native)).without_own_client();
    assert_eq!(native.names, ["Params", "Status", "Term", "client", "run"]);
    let others = Variant::ALL.iter().filter(|variant| ![Variant::Native, Variant::ClientGo].contains(variant));
    for variant in others {
        let surface = surface(&read(*variant));
        let client = surface.looks.get("client").map(Vec::as_slice);
        assert_eq!(client, Some(&["fn client (config : Config) -> Result < Client >".to_owned()][..]), "{variant}");
        assert_eq!(surface.without_own_client(), native, "{variant}");
    }
}

#[test]
fn a_difference_shows() {
    let source = read(Variant::Kubert);
    let right = surface(&source);
    for (from, to) in [
        ("pub retry_period: Duration", "pub retry_period: u64"),
        ("/// The pause between two attempts.", "/// The pause."),
        ("pub fn epoch(&self) -> Option<u64>", "pub fn epoch(&self) -> u64"),
        ("pub fn client(config: Config)", "pub fn client(config: Config, deadline: Duration)"),
        ("pub synced: bool,", ""),
        ("#[derive(Clone, Debug, Default)]", "#[derive(Clone, Debug)]"),
        ("pub struct Params", "pub struct Extra;\npub struct Params"),
    ] {
        let changed = source.replacen(from, to, 1);
        assert_ne!(changed, source, "{from} is not in the template");
        assert_ne!(surface(&changed), right, "{from} -> {to}");
    }
}

/// Each folder is copied alone, so each has the file. What one of them learns, all have to.
#[test]
fn every_variant_whose_crate_is_given_a_client_connects_in_the_same_way() {
    let is_given_one = |variant: &&Variant| !matches!(variant, Variant::Native | Variant::ClientGo);
    let files = Variant::ALL.iter().filter(is_given_one).map(|variant| {
        let path = variant.folder().join("src/connect.rs");
        (*variant, std::fs::read_to_string(&path).expect("it has one"))
    });
    let files: Vec<_> = files.collect();
    for (variant, text) in &files {
        assert!(*text == files[0].1, "connect.rs of {variant} differs from that of {}", files[0].0);
    }
}
