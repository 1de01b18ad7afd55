//! How answers are understood.

use super::*;

fn response(code: u16, body: &str) -> Response<Vec<u8>> {
    Response::builder().status(code).body(body.as_bytes().to_vec()).unwrap()
}

#[test]
fn only_what_says_that_the_lease_has_changed_is_a_lost_race() {
    let conflict = r#"{"kind":"Status","reason":"Conflict","code":409,"message":"the object has been modified"}"#;
    assert!(
        matches!(refusal(&response(409, conflict)), Failure::Refused(text) if text == "the object has been modified (409)")
    );
    let exists = r#"{"kind":"Status","reason":"Invalid","code":422,"message":"must be specified for an update","details":{"causes":[{"field":"metadata.resourceVersion"}]}}"#;
    assert!(matches!(refusal(&response(422, exists)), Failure::Refused(_)));
    let gone = r#"{"kind":"Status","reason":"NotFound","code":404,"message":"gone","details":{"kind":"leases"}}"#;
    assert!(matches!(refusal(&response(404, gone)), Failure::Refused(_)));
}

#[test]
fn a_policy_a_missing_right_and_a_missing_namespace_are_denials_with_the_servers_words() {
    for (code, body) in [
        (422, r#"{"kind":"Status","reason":"Invalid","code":422,"message":"denied by policy"}"#),
        (403, r#"{"kind":"Status","reason":"Forbidden","code":403,"message":"leases is forbidden"}"#),
        (
            404,
            r#"{"kind":"Status","reason":"NotFound","code":404,"message":"no such namespace","details":{"kind":"namespaces"}}"#,
        ),
        (401, r#"{"kind":"Status","reason":"Unauthorized","code":401}"#),
    ] {
        let failure = refusal(&response(code, body));
        let is_denied =
            matches!(failure, Failure::Denied(_)) || code == 403 && matches!(failure, Failure::Forbidden(_));
        assert!(is_denied, "{failure:?}");
        assert!(failure.to_string().ends_with(&format!("({code})")), "{failure}");
    }
}

#[test]
fn what_somebody_else_answers_leaves_open_whether_a_write_happened() {
    for (code, body) in
        [(404, "404 page not found\n"), (409, "busy"), (502, "<html>\n bad gateway</html>"), (403, "{}")]
    {
        let failure = refusal(&response(code, body));
        assert!(matches!(failure, Failure::Failed(_)), "{failure:?}");
        assert_eq!(failure.to_string().lines().count(), 1);
    }
    assert_eq!(refusal(&response(503, "")).to_string(), "an empty answer (503)");
    for code in [429, 500, 503, 504] {
        let body = format!(r#"{{"kind":"Status","code":{code},"message":"later"}}"#);
        assert!(matches!(refusal(&response(code, &body)), Failure::Failed(_)), "{code}");
    }
}

#[test]
fn a_long_answer_is_cut_in_the_log() {
    let page = format!("<html>{}ä</html>", "a".repeat(500));
    assert!(refusal(&response(502, &page)).to_string().len() < 250);
}

#[test]
fn the_age_of_the_lease_is_that_of_the_servers_clock() {
    let lease = |created: &str| -> Lease {
        let metadata = serde_json::json!({"creationTimestamp": created});
        serde_json::from_value(
            serde_json::json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata}),
        )
        .unwrap()
    };
    let mut answer = response(200, "");
    let old = lease("2026-11-25T11:58:30Z");
    assert_eq!(age(&old, &answer), None, "the server did not say");
    answer.headers_mut().insert(header::DATE, "Wed, 25 Nov 2026 12:00:00 GMT".parse().unwrap());
    assert_eq!(age(&old, &answer), Some(Duration::from_secs(90)));
    assert_eq!(age(&lease("2026-11-25T12:00:01Z"), &answer), None, "made in the future");
    answer.headers_mut().insert(header::DATE, "yesterday".parse().unwrap());
    assert_eq!(age(&old, &answer), None);
}
