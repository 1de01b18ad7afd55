//! Runs a scenario against a server and keeps every answer: status, the headers that a client acts on, and the body.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use http_body_util::BodyExt;
use hyper::{Response, header};
use kube::client::Body as Stream;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::fill::{Fill, only};
use crate::fixture::Fixture;
use crate::scenario::{Body, Request, Scenario, Step};

/// The bound of one answer, or of one read from a watch. The longest intended wait takes four seconds.
const ANSWER_BOUND: Duration = Duration::from_secs(60);

/// The headers on which a client acts.
const HEADERS: [&str; 4] = ["content-type", "retry-after", "warning", "www-authenticate"];

/// The answers up to the end, or up to a step that failed, with the reason.
pub struct Exchange {
    /// One per step; null for a pause.
    pub answers: Vec<Value>,
    pub broke: Option<anyhow::Error>,
}

pub async fn run(scenario: &Scenario, fixture: &Fixture) -> Exchange {
    let mut session = Session::new(fixture);
    let mut answers = Vec::new();
    for (i, step) in scenario.steps.iter().enumerate() {
        match session.step(step).await {
            Ok(answer) => answers.push(answer),
            Err(error) => {
                let broke = Some(error.context(format!("step {} could not be made", i + 1)));
                return Exchange { answers, broke };
            }
        }
    }
    Exchange { answers, broke: None }
}

/// The requests of a scenario in order, with the watches that they open.
pub struct Session<'a> {
    fixture: &'a Fixture,
    fill: Fill,
    watches: BTreeMap<String, Watch>,
}

struct Watch {
    stream: Stream,
    /// What has arrived but is not a whole line yet, or was not asked for.
    rest: Vec<u8>,
}

impl<'a> Session<'a> {
    pub fn new(fixture: &'a Fixture) -> Self {
        Self { fixture, fill: Fill::new(&fixture.namespace), watches: BTreeMap::new() }
    }

    async fn step(&mut self, step: &Step) -> Result<Value> {
        match step {
            Step::Request(request) => {
                let answer = timeout(ANSWER_BOUND, self.request(request)).await;
                answer.with_context(|| format!("no answer within {ANSWER_BOUND:?}"))?
            }
            Step::Read { watch, frames, bookmarks } => {
                let watch = self.watches.get_mut(watch).with_context(|| format!("no watch {watch} was opened"))?;
                let read = timeout(ANSWER_BOUND, watch.read(*frames, *bookmarks)).await;
                read.with_context(|| format!("nothing to read within {ANSWER_BOUND:?}"))?
            }
            Step::Pause(time) => {
                sleep(*time).await;
                Ok(Value::Null)
            }
        }
    }

    pub async fn request(&mut self, request: &Request) -> Result<Value> {
        let client = self.fixture.client(&request.user)?;
        let answer = client.send(self.http(request)?).await.context("no answer")?;
        let mut told = head(&answer);
        if let Some(name) = request.watch.as_ref().filter(|_| answer.status().is_success()) {
            self.watches.insert(name.clone(), Watch { stream: answer.into_body(), rest: Vec::new() });
            return Ok(told);
        }
        let bytes = answer.into_body().collect().await.context("the answer breaks off")?.to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let is_json = told["headers"]["content-type"].as_str().is_some_and(|it| it.contains("json"));
        let mut body = if is_json { serde_json::from_str(&text).unwrap_or(Value::from(text)) } else { text.into() };
        if let Some(choice) = &request.only {
            only(&mut body, choice);
        }
        if let Some(name) = &request.save {
            self.fill.save(name, body.clone());
        }
        told["body"] = body;
        Ok(told)
    }

    fn http(&self, request: &Request) -> Result<hyper::Request<Stream>> {
        let target = self.fill.text(&request.target())?;
        let mut builder = hyper::Request::builder().method(request.method.as_str()).uri(target);
        // The server takes this for the field manager when no parameter names it.
        let agent = request.headers.get("User-Agent").map_or("conformance/1.0", String::as_str);
        if !agent.is_empty() {
            builder = builder.header(header::USER_AGENT, agent);
        }
        for (name, value) in request.headers.iter().filter(|(name, _)| *name != "User-Agent") {
            builder = builder.header(name, self.fill.text(value)?);
        }
        let body = match &request.body {
            None => Vec::new(),
            Some(Body::Bytes(bytes)) => bytes.clone(),
            Some(Body::Text(text)) => self.fill.text(text)?.into_bytes(),
            Some(Body::Json { value, change }) => {
                let mut value = self.fill.value(value)?;
                if let Some(change) = change {
                    json_patch::merge(&mut value, &self.fill.value(change)?);
                }
                serde_json::to_vec(&value)?
            }
        };
        Ok(builder.body(body.into())?)
    }
}

fn head(answer: &Response<Stream>) -> Value {
    let value = |name: &str| {
        let values = answer.headers().get_all(name).iter().map(|it| String::from_utf8_lossy(it.as_bytes()));
        let joined = values.collect::<Vec<_>>().join(", ");
        (!joined.is_empty()).then(|| (name.to_owned(), Value::from(joined)))
    };
    let headers: serde_json::Map<String, Value> = HEADERS.into_iter().filter_map(value).collect();
    json!({"status": answer.status().as_u16(), "headers": headers})
}

impl Watch {
    async fn read(&mut self, wanted: Option<usize>, bookmarks: bool) -> Result<Value> {
        let mut frames: Vec<Value> = Vec::new();
        while wanted.is_none_or(|wanted| frames.len() < wanted) {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                let frame: Value = serde_json::from_slice(&line)
                    .unwrap_or_else(|_| String::from_utf8_lossy(&line).into_owned().into());
                if bookmarks || frame["type"] != "BOOKMARK" {
                    frames.push(frame);
                }
                continue;
            }
            match self.stream.frame().await {
                Some(frame) => {
                    let frame = frame.context("the watch breaks off")?;
                    self.rest.extend(frame.into_data().unwrap_or_default());
                }
                None if wanted.is_none() && self.rest.is_empty() => {
                    return Ok(json!({"frames": frames, "ended": true}));
                }
                None => bail!("the watch has ended after {}", json!(frames)),
            }
        }
        Ok(json!({ "frames": frames }))
    }
}
