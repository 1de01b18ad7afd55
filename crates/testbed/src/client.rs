//! Clients of an API server, and what they need: its URL and a token.

use std::net::SocketAddr;

use anyhow::{Context, Result, anyhow};
use kube::{Client, Config};

use crate::tls::Authority;

pub(crate) fn url(address: SocketAddr) -> String {
    format!("https://{address}")
}

/// Makes a client with this token, if any, that trusts `ca` (DER) and nothing else. Without `ca` there is no TLS. It retries
/// nothing: a request of the testbed either works or is an error to show.
///
/// # Errors
/// Fails when the URL is not valid, or TLS cannot be set up.
pub fn client(url: &str, ca: Option<Vec<u8>>, token: Option<&str>) -> Result<Client> {
    let mut config = Config::new(url.parse()?);
    // Never the system's certificates, which take long to load.
    config.root_cert = Some(ca.into_iter().collect());
    config.auth_info.token = token.map(|token| token.to_owned().into());
    config.default_retry = false;
    Client::try_from(config).context("setting up a client")
}

pub(crate) fn client_of(address: SocketAddr, authority: &Authority, token: &str) -> Result<Client> {
    client(&url(address), Some(authority.der().to_vec()), Some(token))
}

/// Returns this many random bytes, in hexadecimal digits.
pub(crate) fn random_hex(bytes: usize) -> Result<String> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random).map_err(|error| anyhow!("the system has no randomness to give: {error}"))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_digits_are_two_a_byte_and_never_the_same() {
        let (one, other) = (random_hex(16).unwrap(), random_hex(16).unwrap());
        assert_eq!(one.len(), 32);
        assert_ne!(one, other);
    }
}
