//! Latency. In real time a test can only show that nothing arrives too early.

use super::*;
use crate::proxy::watched::Watched;
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::time::Instant;

/// A delay until the mode changes.
const ENDLESS: Duration = Duration::MAX;

fn latency(fixed: Duration, jitter: Duration) -> Action {
    Action::Latency { fixed, jitter }
}

#[tokio::test]
async fn an_answer_is_held_back_until_the_mode_changes_at_the_latest() {
    let setup = Setup::new().await;
    let (mut client, mut server) = setup.connected().await;
    setup.proxy.set_mode(latency(ENDLESS, ENDLESS));
    ask(&mut client, "PUT", LEASE).await;
    serve(&mut server, "200 OK").await;
    silent(&mut client).await;
    setup.proxy.set_mode(Mode::Pass);
    read_until(&mut client, "\r\n\r\ndone").await;
    assert_eq!(setup.proxy.requests()[0].effect, Effect::Late);
}

#[tokio::test]
async fn an_answer_comes_by_itself_and_not_before_its_time() {
    const LATE: Duration = Duration::from_millis(100);
    let setup = Setup::new().await;
    let (mut client, mut server) = setup.connected().await;
    setup.proxy.set_mode(latency(LATE, LATE));
    ask(&mut client, "PUT", LEASE).await;
    let since = Instant::now();
    serve(&mut server, "200 OK").await;
    read_until(&mut client, "\r\n\r\ndone").await;
    assert!(since.elapsed() >= LATE, "{:?}", since.elapsed());
}

#[tokio::test]
async fn events_of_a_watch_in_flight_are_held_back_too_and_stay_in_order() {
    let setup = Setup::new().await;
    let (mut client, mut server) = setup.connected().await;
    start_watch(&mut client, &mut server).await;
    setup.proxy.set_mode(latency(ENDLESS, ENDLESS));
    tell(&mut server, "two\n").await;
    tell(&mut server, "three\n").await;
    silent(&mut client).await;
    setup.proxy.set_mode(Mode::Pass);
    let read = read_until(&mut client, "three\n").await;
    assert!(read.contains("two\n"), "{read:?}");
    assert_eq!(setup.proxy.requests()[0].effect, Effect::Late);
}

#[tokio::test(start_paused = true)]
async fn each_event_is_late_by_itself_and_the_end_comes_last() {
    const EVENTS: usize = 50;
    let [fixed, jitter] = [100, 1000].map(Duration::from_millis);
    let route = Route::new(&Authority::new().unwrap(), ([127, 0, 0, 1], 1).into()).unwrap();
    let (proxy, state) = watch::channel(State::default());
    proxy.send_modify(|state| state.set(latency(fixed, jitter).into()));
    let events = (0..EVENTS).map(|n| Ok(Frame::data(Bytes::from(format!("{n}\n")))));
    let met = state.borrow().meet(Verb::Watch);
    let mut body = Watched::new(StreamBody::new(stream::iter(events)), met, state, Arc::new(route), 0).into_body();

    let begin = Instant::now();
    for n in 0..EVENTS {
        let event = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(event, format!("{n}\n"));
        // The delays do not add up, since all events arrived at the same time. A timer may be off by a millisecond.
        let late = begin.elapsed();
        assert!(late >= fixed && late <= fixed + jitter + Duration::from_millis(1), "{n} came after {late:?}");
    }
    assert!(begin.elapsed() > fixed, "none came later than another");
    assert!(body.frame().await.is_none());
}

#[test]
fn the_jitter_stays_in_its_bounds_and_comes_again_with_its_seed() {
    let [fixed, jitter] = [100, 1000].map(Duration::from_millis);
    let route = Route::new(&Authority::new().unwrap(), ([127, 0, 0, 1], 1).into()).unwrap();
    let draw = |seed: u64| {
        route.seed(seed);
        [(); 100].map(|()| route.delay(fixed, jitter))
    };
    let (one, again, other) = (draw(1), draw(1), draw(2));
    assert_eq!(one, again);
    assert_ne!(one, other);
    assert!(one.iter().all(|delay| (fixed..fixed + jitter).contains(delay)), "{one:?}");
    assert!(one.iter().max() > one.iter().min());
}
