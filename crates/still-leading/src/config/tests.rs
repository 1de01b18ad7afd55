//! The relations that must hold.

use super::*;

fn valid() -> Config {
    Config { lease: "my-lease".to_owned(), identity: "pod-0".into(), ..Config::default() }
}

fn violations(config: &Config) -> Vec<Violation> {
    config.check().expect_err("this must be refused").0
}

#[test]
fn the_defaults_are_those_of_client_go_and_valid() {
    let config = valid();
    let seconds = [config.lease_duration, config.renew_deadline, config.retry_period].map(|it| it.as_secs());
    assert_eq!(seconds, [15, 10, 2]);
    assert_eq!(config.check(), Ok(()));
    assert_eq!(config.on_overstay, OnOverstay::ExitProcess);
}

#[test]
fn every_violation_is_reported_at_once_in_one_line() {
    let config = Config {
        namespace: Some("Upper".to_owned()),
        lease: "UPPER_case".to_owned(),
        identity: "".into(),
        lease_duration: Duration::from_millis(1500),
        renew_deadline: Duration::from_secs(3),
        retry_period: Duration::from_secs(2),
        ..Config::default()
    };
    let error = config.check().unwrap_err();
    assert_eq!(error.0.len(), 6, "{error}");
    assert_eq!(error.to_string().lines().count(), 1);
    for part in [
        "lease \"UPPER_case\" is not",
        "namespace \"Upper\" is not",
        "identity must not be empty",
        "must be whole seconds",
        "must be longer than renew_deadline 3s",
        "must be longer than twice the retry_period 2s",
    ] {
        assert!(error.to_string().contains(part), "{error} lacks {part}");
    }
}

#[test]
fn two_attempts_always_fit_into_a_renew_deadline() {
    let refused = Config { retry_period: Duration::from_secs(5), ..valid() };
    assert!(matches!(violations(&refused)[..], [Violation::RetryPeriodTooLong { .. }]));
    let allowed = Config { retry_period: Duration::from_millis(4999), ..valid() };
    assert_eq!(allowed.check(), Ok(()));
}

#[test]
fn the_lease_duration_is_longer_than_the_renew_deadline_and_fits_into_a_lease() {
    let equal = Config { renew_deadline: Duration::from_secs(15), ..valid() };
    assert!(matches!(violations(&equal)[..], [Violation::RenewDeadlineTooLong { .. }]));
    let huge = Config { lease_duration: Duration::from_secs(1 << 31), ..valid() };
    assert!(matches!(violations(&huge)[..], [Violation::LeaseDuration(_)]));
    let never = Config { retry_period: Duration::ZERO, ..valid() };
    assert_eq!(violations(&never), [Violation::NoRetryPeriod]);
    let absurd = Config { retry_period: Duration::MAX, ..valid() };
    assert!(matches!(violations(&absurd)[..], [Violation::RetryPeriodTooLong { .. }]));
}

#[test]
fn names_are_those_that_kubernetes_allows() {
    let long = "a".repeat(253);
    for lease in ["a", "my-lease", "my.lease-1", "0", long.as_str()] {
        assert!(Config { lease: lease.to_owned(), ..valid() }.check().is_ok(), "{lease}");
    }
    let too_long = "a".repeat(254);
    for lease in ["", "-a", "a-", "a..b", ".a", "a_b", "A", "a/b", "ä", too_long.as_str()] {
        assert_eq!(violations(&Config { lease: lease.to_owned(), ..valid() }), [Violation::Lease(lease.to_owned())]);
    }
    let too_long = "a".repeat(64);
    for namespace in ["", "a.b", "A", "-a", too_long.as_str()] {
        let config = Config { namespace: Some(namespace.to_owned()), ..valid() };
        assert_eq!(violations(&config), [Violation::Namespace(namespace.to_owned())]);
    }
}
