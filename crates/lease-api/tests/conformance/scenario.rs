//! The exchanges as data: each file `scenarios/<topic>.yaml` is a list of scenarios, and each scenario a list of steps.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

/// A file of scenarios.
pub struct Topic {
    /// The name of the file, without `.yaml`.
    pub name: String,
    pub scenarios: Vec<Arc<Scenario>>,
}

/// A scenario, which runs in its own namespace, step by step.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// A sentence, unique in its file.
    pub name: String,
    /// The rules of a Role in the namespace, for each user besides the administrator.
    #[serde(default)]
    pub users: BTreeMap<String, Value>,
    /// Times of managed fields are compared by their order, and not only as "now". They are in seconds, so such a scenario must
    /// pause between its writes.
    #[serde(default)]
    pub ranks_times: bool,
    /// The scenario needs a server that has forgotten its first versions.
    #[serde(default)]
    pub forgetful: bool,
    /// The user whose writes of guarded ConfigMaps are fenced: see `fence.yaml`.
    pub fence: Option<String>,
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "RawStep")]
pub enum Step {
    Request(Box<Request>),
    /// Reads from a watch that an earlier step has opened: a number of frames, or all until the server ends it.
    Read {
        watch: String,
        frames: Option<usize>,
        /// Whether bookmarks count. Otherwise they are skipped, since the server chooses when they come.
        bookmarks: bool,
    },
    Pause(Duration),
}

#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Path and query; see [`Request::target`].
    pub path: String,
    /// The sender: a user of the scenario, `admin`, `anonymous` without a token, or `stranger` with a wrong token.
    pub user: String,
    pub headers: BTreeMap<String, String>,
    pub body: Option<Body>,
    /// Keeps the answer's body under this name, for `${name.metadata.uid}` in later steps.
    pub save: Option<String>,
    /// The answer is a stream, if it is a success. Later steps read it under this name.
    pub watch: Option<String>,
    pub only: Option<Only>,
}

#[derive(Clone, Debug)]
pub enum Body {
    /// Sent as JSON. A string that is one `${…}` is replaced by the whole value.
    Json {
        value: Value,
        /// A JSON merge patch on it.
        change: Option<Value>,
    },
    Text(String),
    /// Base64 in the scenario. Nothing is filled in.
    Bytes(Vec<u8>),
}

/// Keeps only some elements of the lists called `key` in the answer, where the real server has more of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Only {
    pub key: String,
    /// The `name`, `metadata.name` or `resource` of the elements to keep.
    pub names: Vec<String>,
}

/// A step as it is in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    /// `METHOD path`.
    request: Option<String>,
    user: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Sets the Content-Type of a PATCH.
    patch: Option<String>,
    body: Option<Value>,
    change: Option<Value>,
    text: Option<String>,
    base64: Option<String>,
    save: Option<String>,
    watch: Option<String>,
    only: Option<Only>,
    read: Option<String>,
    frames: Option<usize>,
    #[serde(default)]
    bookmarks: bool,
    pause_ms: Option<u64>,
}

impl TryFrom<RawStep> for Step {
    type Error = anyhow::Error;

    fn try_from(raw: RawStep) -> Result<Self> {
        match (&raw.request, &raw.read, raw.pause_ms) {
            (Some(_), None, None) => Ok(Self::Request(Box::new(raw.try_into()?))),
            (None, Some(watch), None) => {
                Ok(Self::Read { watch: watch.clone(), frames: raw.frames, bookmarks: raw.bookmarks })
            }
            (None, None, Some(millis)) => Ok(Self::Pause(Duration::from_millis(millis))),
            _ => bail!("a step is one of request, read and pause_ms"),
        }
    }
}

impl TryFrom<RawStep> for Request {
    type Error = anyhow::Error;

    fn try_from(raw: RawStep) -> Result<Self> {
        let line = raw.request.context("no request")?;
        let (method, path) = line.split_once(' ').with_context(|| format!("not `METHOD path`: {line}"))?;
        ensure!(raw.frames.is_none() && !raw.bookmarks, "frames belong to a read: {line}");
        ensure!(raw.change.is_none() || raw.body.is_some(), "a change of no body: {line}");
        let body = match (raw.body, raw.text, raw.base64) {
            (Some(value), None, None) => Some(Body::Json { value, change: raw.change }),
            (None, None, Some(base64)) => Some(Body::Bytes(STANDARD.decode(base64.replace(char::is_whitespace, ""))?)),
            (None, text, None) => text.map(Body::Text),
            _ => bail!("more than one body: {line}"),
        };
        let mut headers = raw.headers;
        if body.is_some() && !headers.contains_key("Content-Type") {
            headers.insert("Content-Type".to_owned(), content_type(method, raw.patch.as_deref())?);
        }
        Ok(Self {
            method: method.to_owned(),
            path: path.to_owned(),
            user: raw.user.unwrap_or_else(|| "admin".to_owned()),
            headers,
            body,
            save: raw.save,
            watch: raw.watch,
            only: raw.only,
        })
    }
}

fn content_type(method: &str, patch: Option<&str>) -> Result<String> {
    let name = match (method, patch) {
        ("PATCH", Some("json")) => "json-patch+json",
        ("PATCH", Some("merge")) => "merge-patch+json",
        ("PATCH", Some("strategic")) => "strategic-merge-patch+json",
        ("PATCH", Some("apply")) => "apply-patch+yaml",
        ("PATCH", other) => bail!("{other:?} is not a kind of patch"),
        (_, None) => "json",
        (_, Some(_)) => bail!("only a PATCH has a kind of patch"),
    };
    Ok(format!("application/{name}"))
}

impl Request {
    /// The path of the request, before any value is filled in. `leases/a` is short for the whole path in the scenario's
    /// namespace, and so are `configmaps` and `events`.
    pub fn target(&self) -> String {
        let root = match self.path.split(['/', '?']).next() {
            Some("leases") => "/apis/coordination.k8s.io/v1/namespaces/{ns}/",
            Some("configmaps" | "events") => "/api/v1/namespaces/{ns}/",
            _ => "",
        };
        format!("{root}{}", self.path)
    }
}

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

/// All topics, by name.
pub fn topics() -> Result<Vec<Topic>> {
    let dir = folder().join("scenarios");
    let entries = fs::read_dir(&dir).with_context(|| format!("reading {}", dir.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files.iter().map(|file| topic(file)).collect()
}

fn topic(file: &Path) -> Result<Topic> {
    let text = fs::read_to_string(file)?;
    // Otherwise a holder called `y` would be a boolean.
    let options = serde_saphyr::options! { strict_booleans: true };
    let scenarios: Vec<Scenario> =
        serde_saphyr::from_str_with_options(&text, options).with_context(|| format!("reading {}", file.display()))?;
    let name = file.file_stem().and_then(|stem| stem.to_str()).context("a file without a name")?.to_owned();
    for (i, scenario) in scenarios.iter().enumerate() {
        let repeated = scenarios[..i].iter().any(|other| other.name == scenario.name);
        ensure!(!repeated, "{name} has two scenarios called {}", scenario.name);
    }
    Ok(Topic { name, scenarios: scenarios.into_iter().map(Arc::new).collect() })
}
