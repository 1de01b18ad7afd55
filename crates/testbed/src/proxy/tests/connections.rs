//! Modes that break connections.

use super::*;

#[tokio::test]
async fn a_cut_tears_down_a_watch_in_flight_on_both_sides_and_turns_away_the_next_connection() {
    let setup = Setup::new().await;
    let (mut client, mut server) = setup.connected().await;
    start_watch(&mut client, &mut server).await;

    setup.proxy.set_mode(Mode::Cut);
    rest(&mut client).await;
    rest(&mut server).await;

    let mut stream = TcpStream::connect(setup.proxy.address).await.unwrap();
    assert_eq!(rest(&mut stream).await, Bytes::new());
    assert_eq!(setup.proxy.requests().len(), 1);

    setup.proxy.set_mode(Mode::Pass);
    let (mut client, mut server) = setup.connected().await;
    start_watch(&mut client, &mut server).await;
}

#[tokio::test]
async fn in_a_black_hole_nothing_passes_and_nothing_ends_until_the_mode_changes() {
    let setup = Setup::new().await;
    let (mut client, mut server) = setup.connected().await;
    start_watch(&mut client, &mut server).await;

    setup.proxy.set_mode(Mode::BlackHole);
    // Until the connections have met the mode.
    tokio::time::sleep(SILENCE).await;
    tell(&mut server, "two\n").await;
    send(&mut client, "x").await;
    let mut stream = TcpStream::connect(setup.proxy.address).await.unwrap();
    send(&mut stream, "a first byte of TLS").await;
    tokio::join!(silent(&mut client), silent(&mut server), silent(&mut stream));

    setup.proxy.set_mode(Mode::Pass);
    assert_eq!(rest(&mut client).await, Bytes::new());
    rest(&mut server).await;
    assert_eq!(rest(&mut stream).await, Bytes::new());
    let (mut client, mut server) = setup.connected().await;
    start_watch(&mut client, &mut server).await;
}

#[tokio::test]
async fn a_cut_ends_what_is_in_flight_however_short_it_is() {
    let setup = Setup::new().await;
    let (mut client, mut server) = setup.connected().await;
    start_watch(&mut client, &mut server).await;
    // Nothing runs between the two, so the connection only ever sees the second mode.
    setup.proxy.set_mode(Mode::Cut);
    setup.proxy.set_mode(Mode::Pass);
    rest(&mut client).await;
}

/// Connects repeatedly until the result is as wanted, since the listener needs a moment.
async fn connect_until(setup: &Setup, wanted: impl Fn(&io::Result<TcpStream>) -> bool) {
    let trying = async {
        while !wanted(&TcpStream::connect(setup.proxy.address).await) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(BOUND, trying).await.expect("it never came to that");
}

fn is_refused(connected: &io::Result<TcpStream>) -> bool {
    connected.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

#[tokio::test]
async fn when_refused_what_stands_ends_and_nobody_listens_until_the_mode_changes() {
    let setup = Setup::new().await;
    let (mut client, mut server) = setup.connected().await;
    start_watch(&mut client, &mut server).await;

    setup.proxy.set_mode(Mode::Refuse);
    rest(&mut client).await;
    rest(&mut server).await;
    connect_until(&setup, is_refused).await;
    tokio::time::sleep(SILENCE).await;
    assert!(is_refused(&TcpStream::connect(setup.proxy.address).await));

    setup.proxy.set_mode(Mode::Pass);
    connect_until(&setup, Result::is_ok).await;
    let (mut client, mut server) = setup.connected().await;
    start_watch(&mut client, &mut server).await;
}

#[tokio::test]
async fn a_reset_is_seen_as_one_by_what_stands_and_by_new_connections() {
    let setup = Setup::new().await;
    let (mut client, mut server) = setup.connected().await;
    start_watch(&mut client, &mut server).await;

    setup.proxy.set_mode(Mode::Reset);
    assert_eq!(end(&mut client).await, Some(io::ErrorKind::ConnectionReset));
    rest(&mut server).await;
    let mut stream = TcpStream::connect(setup.proxy.address).await.unwrap();
    assert_eq!(end(&mut stream).await, Some(io::ErrorKind::ConnectionReset));

    setup.proxy.set_mode(Mode::Pass);
    let (mut client, mut server) = setup.connected().await;
    start_watch(&mut client, &mut server).await;
}

#[tokio::test]
async fn a_cut_is_not_seen_as_a_reset() {
    let setup = Setup::new().await;
    let (mut client, mut server) = setup.connected().await;
    start_watch(&mut client, &mut server).await;
    setup.proxy.set_mode(Mode::Cut);
    // Only TLS complains that it was not closed; TCP was.
    assert_eq!(end(&mut client).await, Some(io::ErrorKind::UnexpectedEof));
}

#[tokio::test]
async fn what_stalled_in_a_black_hole_ends_as_the_next_mode_says() {
    let setup = Setup::new().await;
    let (mut client, mut server) = setup.connected().await;
    start_watch(&mut client, &mut server).await;
    setup.proxy.set_mode(Mode::BlackHole);
    silent(&mut client).await;
    setup.proxy.set_mode(Mode::Reset);
    assert_eq!(end(&mut client).await, Some(io::ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn half_open_connections_stay_silent_for_good_while_new_ones_work() {
    let setup = Setup::new().await;
    let (mut old, mut old_server) = setup.connected().await;
    start_watch(&mut old, &mut old_server).await;

    setup.proxy.set_mode(Mode::HalfOpen);
    let (mut new, mut new_server) = setup.connected().await;
    start_watch(&mut new, &mut new_server).await;
    tell(&mut old_server, "two\n").await;
    send(&mut old, "x").await;
    tokio::join!(silent(&mut old), silent(&mut old_server));

    setup.proxy.set_mode(Mode::Pass);
    tell(&mut new_server, "two\n").await;
    read_until(&mut new, "two\n\r\n").await;
    tokio::join!(silent(&mut old), silent(&mut old_server));

    setup.proxy.set_mode(Mode::HalfOpen);
    tell(&mut new_server, "three\n").await;
    silent(&mut new).await;

    setup.proxy.set_mode(Mode::Cut);
    tokio::join!(rest(&mut old), rest(&mut old_server), rest(&mut new), rest(&mut new_server));
}
