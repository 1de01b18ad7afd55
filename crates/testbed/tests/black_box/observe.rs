//! What cases observe of a running fleet. If a variant does not show something within a bound, it breaks a promise.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use still_leading_testbed::history::judge::{Overlap, Verdict, acts, no_overlap};
use still_leading_testbed::history::{EXITED, Event, HARNESS, monotonic, now};
use still_leading_testbed::{Fleet, Replica};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::fixture::LONG;
use crate::promise::{promise, promise_within};

/// The pause between two checks of what is not an event.
const PERIOD: Duration = Duration::from_millis(100);

/// Waits until `replica` has acted `count` times after `since`, in monotonic nanoseconds.
pub async fn wait_for_acts(fleet: &Fleet, replica: usize, since: u64, count: usize) -> Result<()> {
    let name = fleet.replica(replica).name();
    acting(fleet, |actor| actor == name, since, count, &format!("{name} led, but did not act {count} times")).await
}

/// Waits until replicas other than `old` have acted `count` times after `since`.
pub async fn wait_for_acts_of_successors(fleet: &Fleet, old: usize, since: u64, count: usize) -> Result<()> {
    let old = fleet.replica(old).name();
    acting(fleet, |actor| actor != old, since, count, &format!("nobody acted {count} times in place of {old}")).await
}

/// Waits until any replicas have acted `count` times after `since`.
pub async fn wait_for_acts_of_anybody(fleet: &Fleet, since: u64, count: usize) -> Result<()> {
    acting(fleet, |_| true, since, count, "nobody led any more").await
}

async fn acting(fleet: &Fleet, who: impl Fn(&str) -> bool, since: u64, count: usize, broken: &str) -> Result<()> {
    let so_far = |events: &[Event]| acts(events).iter().filter(|act| who(&act.replica) && act.at > since).count();
    let acting = fleet.history().wait_for(LONG, |events| (so_far(events) >= count).then_some(()));
    promise_within(acting, broken).await
}

/// Waits until `replica` has written into the Lease once more.
pub async fn wait_for_renewal(fleet: &Fleet, replica: usize) -> Result<()> {
    let since = now();
    let renewed =
        || fleet.proxy(replica).requests().iter().any(|it| it.at > since && it.verb.is_write() && it.succeeded());
    let renewal = fleet.history().wait_for(LONG, |_| renewed().then_some(()));
    promise_within(renewal, format!("{} led, but did not renew", fleet.replica(replica).name())).await
}

/// Waits until a replica other than `old` leads, and returns its index and when its term began.
pub async fn wait_for_successor(fleet: &Fleet, old: usize, bound: Duration) -> Result<(usize, u64)> {
    promise_within(fleet.wait_for_successor(old, bound), format!("nobody led any more within {bound:?}")).await
}

/// Returns when `replica` last acted, in monotonic nanoseconds.
pub fn last_act(fleet: &Fleet, replica: usize) -> Result<u64> {
    let name = fleet.replica(replica).name();
    let acts = acts(&fleet.history().events());
    acts.iter().rfind(|act| act.replica == name).map(|act| act.at).context("it never acted")
}

/// Returns when the Lease that `replica` held expired, in monotonic nanoseconds, by its last write. No elector may count from an
/// earlier moment, whether it uses the timestamp or when it saw the write.
pub fn expiry(fleet: &Fleet, replica: usize, lease_duration: Duration) -> Result<u64> {
    let identity = format!("{}_", fleet.replica(replica).name());
    let history = fleet.lease_history();
    let held = history.iter().filter(|state| state.holder.as_ref().is_some_and(|it| it.starts_with(&identity)));
    let stamp = held.filter_map(|state| state.renew_time).next_back().context("it never wrote a renewTime")?;
    Ok(monotonic(stamp) + lease_duration.as_nanos() as u64)
}

/// Checks that no two terms overlapped and that every log line parsed.
pub fn check_history(fleet: &Fleet) -> Result<()> {
    let events = fleet.history().events();
    let verdict = no_overlap(&events);
    let seen_until = events.last().map_or(0, |event| event.at);
    let said = match &verdict {
        Verdict::Held => String::new(),
        Verdict::Violated(overlaps) => list(overlaps, seen_until),
        Verdict::Unknown(doubts) => {
            doubts.iter().map(|doubt| format!("perhaps: {doubt}")).collect::<Vec<_>>().join(", ")
        }
    };
    promise!(verdict.is_held(), "two led at once: {said}\n{}", fleet.history().table());
    let malformed = fleet.history().malformed();
    promise!(malformed.is_empty(), "lines that are not events: {malformed:?}");
    let said = events.iter().filter(|event| event.replica != HARNESS && event.message != EXITED);
    for event in said {
        let identity = format!("{}_", event.replica);
        let is_whole =
            ["timestamp", "level"].iter().all(|field| event.fields.get(*field).is_some_and(Value::is_string))
                && event.fields.get("identity").and_then(Value::as_str).is_some_and(|it| it.starts_with(&identity));
        promise!(is_whole, "a line without timestamp, level or identity: {event:?}");
        let is_flat = event.fields.values().all(|value| !value.is_object() && !value.is_array());
        promise!(is_flat, "a line that is not flat: {event:?}");
    }
    Ok(())
}

/// Lists who overlapped with whom and for how long, as far as was seen.
fn list(overlaps: &[Overlap], seen_until: u64) -> String {
    let overlaps = overlaps.iter().map(|Overlap { replicas, from, until }| {
        let length = Duration::from_nanos(until.unwrap_or(seen_until).saturating_sub(*from)).as_secs_f64();
        let more = if until.is_none() { " and more" } else { "" };
        format!("{} for {length:.3} s{more}", replicas.join(" and "))
    });
    overlaps.collect::<Vec<_>>().join(", ")
}

/// Sends a GET, and returns status and body. A replica that does not answer breaks a promise.
pub async fn get(replica: &Replica, path: &str) -> Result<(u16, String)> {
    let name = replica.name();
    let address = promise_within(replica.http_address(LONG), format!("{name} does not say where it serves")).await?;
    let answer = async { timeout(LONG, ask(address, path)).await.context("no answer in time")? };
    promise_within(answer, format!("{name} does not answer {path}")).await
}

/// Repeats a GET of `path` until the answer is 200.
pub async fn wait_until_ok(replica: &Replica, path: &str) -> Result<()> {
    let deadline = Instant::now() + LONG;
    loop {
        let (status, body) = get(replica, path).await?;
        if status == 200 {
            return Ok(());
        }
        promise!(Instant::now() < deadline, "{} answers {path} with {status} {body}", replica.name());
        sleep(PERIOD).await;
    }
}

async fn ask(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = hyper::Request::get(path).header("host", address.to_string()).body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
