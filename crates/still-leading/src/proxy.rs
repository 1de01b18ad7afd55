//! Which proxy the environment asks for, by the rules of Go's `net/http`, which kubectl and every Go controller keep.

use std::env;
use std::net::IpAddr;

use ipnet::IpNet;

/// The proxy for requests to `scheme://host:port`, as kubectl chooses it from the environment.
///
/// `HTTPS_PROXY` holds for `https`, `HTTP_PROXY` for `http`, and what `NO_PROXY` matches is asked directly, as are `localhost`
/// and the loopback addresses. The lower-case names count too. `NO_PROXY` is a list of names, addresses and networks between
/// commas. A name stands for its subdomains as well, a name with a leading dot for the subdomains alone, and `*` for
/// everything. A name or an address may have a port. `ALL_PROXY` is not looked at, as in Go.
///
/// The answer has a scheme, `http` if the variable names none. Nothing else of it was checked.
#[must_use]
pub fn environment_proxy(scheme: &str, host: &str, port: u16) -> Option<String> {
    choose(&|name| env::var(name).ok(), scheme, host, port)
}

/// As [`environment_proxy`], in the environment that `variable` shows.
pub(crate) fn choose(variable: &dyn Fn(&str) -> Option<String>, scheme: &str, host: &str, port: u16) -> Option<String> {
    let first = |names: [&str; 2]| names.into_iter().find_map(|name| variable(name).filter(|value| !value.is_empty()));
    let proxy = match scheme {
        "https" => first(["HTTPS_PROXY", "https_proxy"]),
        // A CGI program gets the header `Proxy` of whoever asks it as HTTP_PROXY.
        "http" if variable("REQUEST_METHOD").is_none() => first(["HTTP_PROXY", "http_proxy"]),
        _ => None,
    }?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    let is_local = host == "localhost" || address.is_some_and(|address| address.is_loopback());
    let exceptions = first(["NO_PROXY", "no_proxy"]).unwrap_or_default();
    if is_local || exceptions.split(',').any(|rule| matches(rule, &host, address, port)) {
        return None;
    }
    Some(if proxy.contains("://") { proxy } else { format!("http://{proxy}") })
}

/// Whether one entry of NO_PROXY holds for this host.
fn matches(rule: &str, host: &str, address: Option<IpAddr>, port: u16) -> bool {
    let rule = rule.trim().to_ascii_lowercase();
    if rule == "*" {
        return true;
    }
    if let Ok(network) = rule.parse::<IpNet>() {
        return address.is_some_and(|address| network.contains(&address));
    }
    let (name, only_port) = without_port(&rule);
    if only_port.is_some_and(|only| only.parse() != Ok(port)) {
        return false;
    }
    if let Ok(excepted) = name.parse::<IpAddr>() {
        return address == Some(excepted);
    }
    let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
    match name.strip_prefix('.') {
        _ if name.is_empty() => false,
        Some(_) => host.ends_with(name),
        None => host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')),
    }
}

/// Splits off `:port`. An address of IPv6 with a port stands in brackets.
fn without_port(rule: &str) -> (&str, Option<&str>) {
    if let Some((address, rest)) = rule.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (address, rest.strip_prefix(':'));
    }
    match rule.split_once(':') {
        Some((name, port)) if !port.contains(':') => (name, Some(port)),
        _ => (rule, None),
    }
}

#[cfg(test)]
mod tests;
