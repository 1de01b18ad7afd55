use super::*;

fn asked(variables: &[(&str, &str)], scheme: &str, host: &str, port: u16) -> Option<String> {
    let variables: Vec<_> = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    choose(&move |name| variables.iter().find(|it| it.0 == name).map(|it| it.1.clone()), scheme, host, port)
}

fn is_direct(no_proxy: &str, host: &str) -> bool {
    let variables = [("HTTPS_PROXY", "http://proxy:3128"), ("NO_PROXY", no_proxy)];
    asked(&variables, "https", host, 6443).is_none()
}

/// The cases of `golang.org/x/net/http/httpproxy`, and what people write.
#[test]
fn no_proxy_excepts_what_go_excepts() {
    for (no_proxy, host) in [
        ("*", "api.test"),
        ("api.test", "api.test"),
        ("API.Test", "api.test"),
        ("test", "api.test"),
        (".test", "api.test"),
        ("*.test", "api.test"),
        ("a, api.test ,b", "api.test"),
        ("a,,api.test,", "api.test"),
        ("api.test:6443", "api.test"),
        ("10.1.2.3", "10.1.2.3"),
        ("10.1.2.3:6443", "10.1.2.3"),
        ("10.0.0.0/8", "10.1.2.3"),
        ("fd00::/8", "[fd00::1]"),
        ("fd00::1", "[fd00::1]"),
        ("[fd00::1]:6443", "[fd00::1]"),
        ("", "localhost"),
        ("", "127.0.0.1"),
        ("", "127.1.2.3"),
        ("", "[::1]"),
    ] {
        assert!(is_direct(no_proxy, host), "NO_PROXY={no_proxy} does not except {host}");
    }
    for (no_proxy, host) in [
        ("", "api.test"),
        (",", "api.test"),
        (":6443", "api.test"),
        ("pi.test", "api.test"),
        (".api.test", "api.test"),
        ("api.test:443", "api.test"),
        ("api.test", "test"),
        ("10.1.2.3:443", "10.1.2.3"),
        ("10.0.0.0/16", "10.1.2.3"),
        ("10.0.0.0/8", "api.test"),
        ("[fd00::1]:443", "[fd00::1]"),
        // As kube 5 does: NO_PROXY is about the API server and not about the proxy.
        ("proxy", "api.test"),
    ] {
        assert!(!is_direct(no_proxy, host), "NO_PROXY={no_proxy} excepts {host}");
    }
}

#[test]
fn each_scheme_has_a_variable_of_its_own_and_capitals_come_first() {
    let both = [("HTTPS_PROXY", "http://of-https:1"), ("HTTP_PROXY", "http://of-http:1")];
    assert_eq!(asked(&both, "https", "api.test", 443).as_deref(), Some("http://of-https:1"));
    assert_eq!(asked(&both, "http", "api.test", 80).as_deref(), Some("http://of-http:1"));
    assert_eq!(asked(&both[..1], "http", "api.test", 80), None);
    let cases = [("https_proxy", "http://small:1"), ("HTTPS_PROXY", "")];
    assert_eq!(asked(&cases, "https", "api.test", 443).as_deref(), Some("http://small:1"));
    let cgi = [("HTTP_PROXY", "http://of-http:1"), ("REQUEST_METHOD", "GET")];
    assert_eq!(asked(&cgi, "http", "api.test", 80), None, "the header Proxy of a request");
    assert_eq!(asked(&[("ALL_PROXY", "http://all:1")], "https", "api.test", 443), None, "Go does not know it");
}

#[test]
fn a_proxy_without_a_scheme_speaks_http() {
    let of = |proxy| asked(&[("HTTPS_PROXY", proxy)], "https", "api.test", 443);
    assert_eq!(of("proxy.test:3128").as_deref(), Some("http://proxy.test:3128"));
    assert_eq!(of("socks5://proxy.test:1080").as_deref(), Some("socks5://proxy.test:1080"));
}
