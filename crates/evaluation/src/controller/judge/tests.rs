use super::*;

fn source(version: u64, name: &str, value: &str) -> Seen {
    let (name, uid, value) = (name.to_owned(), format!("uid-{name}"), Some(value.to_owned()));
    Seen { at: version * 10, version, name, uid, value, ..Seen::default() }
}

fn copy(version: u64, of: &str, value: &str, epoch: u64) -> Seen {
    let (epoch, owner) = (Some(epoch), Some(format!("uid-{of}")));
    Seen { epoch, owner, ..source(version, &format!("{of}{COPY}"), value) }
}

fn gone(of: Seen, version: u64) -> Seen {
    Seen { version, at: version * 10, deleted: true, ..of }
}

fn term(epoch: u64) -> Term {
    Term { epoch, at: epoch * 10, holder: "x".to_owned(), ended: None }
}

/// Two sources; the leader of epoch 10 has written both copies, that of epoch 20 as well.
fn good() -> Vec<Seen> {
    vec![
        source(1, "a", "1"),
        source(2, "b", "1"),
        copy(11, "a", "1", 10),
        copy(12, "b", "1", 10),
        source(13, "a", "2"),
        copy(21, "a", "2", 20),
        copy(24, "b", "1", 20),
    ]
}

fn copies(seen: &[Seen]) -> Copies<'_> {
    Copies::new(seen, &BTreeSet::new())
}

fn versions(writes: Vec<&Seen>) -> Vec<u64> {
    writes.into_iter().map(|write| write.version).collect()
}

#[test]
fn terms_are_read_from_the_holders_of_the_lease() {
    let holder = |it: &str| Some(it.to_owned());
    let lease = [
        (1, 10, None),
        (2, 20, holder("a")),
        (3, 30, holder("a")),
        (4, 40, None),
        (5, 50, holder("b")),
        (7, 70, holder("c")),
    ];
    let found = terms(lease);
    let shown: Vec<_> = found.iter().map(|it| (it.epoch, &*it.holder, it.ended)).collect();
    assert_eq!(shown, [(2, "a", Some((4, 40))), (5, "b", Some((7, 70))), (7, "c", None)]);
}

#[test]
fn nothing_is_wrong_with_a_good_history() {
    let seen = good();
    let (copies, terms) = (copies(&seen), [term(10), term(20)]);
    assert_eq!(copies.len(), 4);
    assert!(copies.back().is_empty() && copies.late(&terms).is_empty());
    let (times, missing) = copies.reached(&terms[1], &sources_at(&seen, 20));
    assert_eq!((times, missing), (vec![210, 240], vec![]));
    assert_eq!(wrong(&seen, Some(20)), Vec::<String>::new());
    assert!(copies.orphaned(&seen, 0).is_empty());
}

#[test]
fn an_older_epoch_on_a_copy_of_a_newer_one_is_back_and_late() {
    let mut seen = good();
    seen.push(copy(25, "a", "2", 10));
    assert_eq!(versions(copies(&seen).back()), [25]);
    assert_eq!(versions(copies(&seen).late(&[term(10), term(20)])), [25]);
    // A person may do so.
    assert!(Copies::new(&seen, &BTreeSet::from([25])).back().is_empty());
}

#[test]
fn a_deletion_in_between_makes_an_older_epoch_no_younger() {
    let mut seen = good();
    seen.extend([gone(copy(24, "b", "1", 20), 25), copy(26, "b", "1", 10)]);
    assert_eq!(versions(copies(&seen).back()), [26]);
}

#[test]
fn a_write_of_an_older_epoch_is_late_although_no_copy_goes_back() {
    let mut seen = good();
    seen.extend([source(22, "c", "1"), copy(23, "c", "1", 10)]);
    assert!(copies(&seen).back().is_empty());
    assert_eq!(versions(copies(&seen).late(&[term(10), term(20)])), [23]);
    // Before the later term had begun it was in time.
    assert!(copies(&seen).late(&[term(10), term(24)]).is_empty());
}

#[test]
fn a_copy_that_the_new_epoch_did_not_write_is_missing() {
    let seen: Vec<Seen> = good().into_iter().filter(|it| it.version != 24).collect();
    let (times, missing) = copies(&seen).reached(&term(20), &sources_at(&seen, 20));
    assert_eq!((times, missing), (vec![210], vec!["b".to_owned()]));
    assert_eq!(wrong(&seen, Some(20)), ["b has a copy of an older epoch"]);
    assert_eq!(wrong(&seen, None), Vec::<String>::new());
}

#[test]
fn a_copy_that_is_not_as_it_should_be_is_wrong() {
    let mut seen = good();
    seen.push(source(30, "a", "3"));
    assert_eq!(wrong(&seen, None), ["a differs from its copy"]);
    seen.push(Seen { owner: Some("uid-before".to_owned()), ..copy(31, "a", "3", 20) });
    assert_eq!(wrong(&seen, None), ["a does not own its copy"]);
    seen.push(gone(copy(31, "a", "3", 20), 32));
    assert_eq!(wrong(&seen, None), ["a has no copy"]);
}

#[test]
fn a_copy_is_not_written_after_its_source_is_gone() {
    let mut seen = good();
    seen.extend([gone(source(2, "b", "1"), 30), copy(31, "b", "1", 20)]);
    assert_eq!(versions(copies(&seen).orphaned(&seen, 5)), [31]);
    assert!(copies(&seen).orphaned(&seen, 10).is_empty(), "within the grace");
    assert_eq!(sources_at(&seen, 20), BTreeSet::from(["a".to_owned()]));
    assert_eq!(wrong(&seen, None), Vec::<String>::new(), "its copy is the garbage collector's");
    // Made again, it is another source, which has its copy.
    seen.push(source(40, "b", "1"));
    assert!(copies(&seen).orphaned(&seen, 5).is_empty());
}
