use std::fs;

use super::*;

fn environment(variables: Vec<(&'static str, OsString)>) -> Environment {
    Environment::new(move |name| variables.iter().find(|it| it.0 == name).map(|it| it.1.clone()))
}

fn kubeconfig(server: &str, more: &str) -> String {
    format!(
        r#"{{"apiVersion": "v1", "kind": "Config", "current-context": "here",
            "contexts": [{{"name": "here", "context": {{"cluster": "c", "namespace": "of-here"}}}},
                         {{"name": "there", "context": {{"cluster": "c", "namespace": "of-there"}}}}],
            "clusters": [{{"name": "c", "cluster": {{"server": "{server}"{more}}}}}]}}"#
    )
}

fn write(dir: &Path, name: &str, content: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, content).unwrap();
    path
}

fn proxy_of(config: &Config) -> Option<String> {
    config.proxy_url.as_ref().map(ToString::to_string)
}

#[test]
fn missing_files_of_a_list_are_skipped_and_seen_when_they_come() {
    let dir = tempfile::tempdir().unwrap();
    let (missing, there) =
        (dir.path().join("missing"), write(dir.path(), "there", &kubeconfig("https://api.test", "")));
    let list = env::join_paths([&missing, &there]).unwrap();
    let (config, files, context) = read(&environment(vec![("KUBECONFIG", list)]), None).unwrap();
    assert_eq!(config.cluster_url.host(), Some("api.test"));
    assert_eq!((config.default_namespace.as_str(), context.as_deref()), ("of-here", Some("here")));
    assert!(!files.have_changed());
    fs::write(missing, "").unwrap();
    assert!(files.have_changed());
}

#[test]
fn files_that_are_missing_or_say_nothing_mean_the_pod_and_broken_ones_are_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let of = |file: PathBuf| read(&environment(vec![("KUBECONFIG", file.into())]), None).map(drop);
    for file in [dir.path().join("missing"), write(dir.path(), "empty", "")] {
        let error = of(file.clone()).unwrap_err();
        assert!(matches!(&error, AccessError::Nowhere { paths, .. } if *paths == [file.clone()]), "{error}");
        assert!(error.to_string().contains(&file.display().to_string()), "{error}");
    }
    let error = of(write(dir.path(), "broken", "{")).unwrap_err();
    assert!(matches!(error, AccessError::Kubeconfig(_)), "as kubectl, not silently the pod: {error}");
    let home = environment(vec![("HOME", dir.path().into()), ("KUBECONFIG", OsString::new())]);
    let error = read(&home, None).map(drop).unwrap_err();
    assert!(error.to_string().contains(".kube/config"), "{error}");
}

#[test]
fn the_context_of_the_start_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(
        dir.path(),
        "config",
        &kubeconfig("https://api.test", "").replace(r#"context": "here""#, r#"context": "there""#),
    );
    let environment = environment(vec![("KUBECONFIG", file.into())]);
    assert_eq!(read(&environment, None).unwrap().0.default_namespace, "of-there");
    assert_eq!(read(&environment, Some("here")).unwrap().0.default_namespace, "of-here");
}

#[test]
fn the_proxy_of_the_kubeconfig_has_no_exceptions_and_that_of_the_environment_has() {
    let dir = tempfile::tempdir().unwrap();
    let plain = write(dir.path(), "plain", &kubeconfig("https://api.test:6443", ""));
    let own = write(dir.path(), "own", &kubeconfig("https://api.test:6443", r#", "proxy-url": "socks5://own:1""#));
    let with = |file: &Path, no_proxy: &str| {
        let variables = vec![
            ("KUBECONFIG", file.into()),
            ("HTTPS_PROXY", "http://of-environment:3128".into()),
            ("NO_PROXY", no_proxy.into()),
        ];
        proxy_of(&read(&environment(variables), None).unwrap().0)
    };
    assert_eq!(with(&plain, "").as_deref(), Some("http://of-environment:3128/"));
    // kube 5 compares NO_PROXY with the proxy (kube-client 5.0.0, config/file_loader.rs:152).
    assert_eq!(with(&plain, "of-environment").as_deref(), Some("http://of-environment:3128/"));
    assert_eq!(with(&plain, "x,,api.test,"), None);
    assert_eq!(with(&own, "api.test,own").as_deref(), Some("socks5://own:1/"));
}
