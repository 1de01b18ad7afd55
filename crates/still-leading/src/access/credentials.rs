//! Makes of a configuration one that `kube` uses as it is: tokens and certificates instead of files and plugins. So `kube`
//! neither reads a file nor starts a process behind a request.

use std::fs;
use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use jiff::Timestamp;
use kube::Config;
use kube::config::AuthInfo;

use super::AccessError;
use super::files::Files;
use super::plugin::{self, Patience};

/// What a client is built of.
#[derive(Clone)]
pub struct Settled {
    pub config: Config,
    /// When what the plugin issued ends, if it said so.
    pub valid_until: Option<Timestamp>,
}

/// The files that hold the credentials.
pub fn files(auth: &AuthInfo) -> Files {
    let certificate = auth.client_certificate.as_ref().filter(|_| auth.client_certificate_data.is_none());
    let key = auth.client_key.as_ref().filter(|_| auth.client_key_data.is_none());
    Files::read([auth.token_file.as_ref(), certificate, key].into_iter().flatten().map(PathBuf::from))
}

/// Whether a plugin has to be asked.
pub fn needs_plugin(auth: &AuthInfo) -> bool {
    let has_other = auth.auth_provider.is_some()
        || auth.username.is_some() && auth.password.is_some()
        || auth.token.is_some()
        || auth.token_file.is_some();
    auth.exec.is_some() && !has_other
}

/// Puts the token in the place of its file.
pub fn read(config: &mut Config) -> Result<(), AccessError> {
    let auth = &mut config.auth_info;
    let Some(path) = auth.token_file.take() else { return Ok(()) };
    // As in client-go, the file comes before a token beside it.
    match token(Path::new(&path)) {
        Ok(token) => auth.token = Some(token.into()),
        Err(error) if auth.token.is_none() => return Err(error),
        Err(_) => {}
    }
    Ok(())
}

/// Puts what the plugin issues in the place of the plugin.
pub async fn ask(mut config: Config, patience: Patience) -> Result<Settled, AccessError> {
    let auth = &mut config.auth_info;
    let Some(exec) = auth.exec.take() else { return Ok(Settled { config, valid_until: None }) };
    let issued = plugin::run(&exec, patience).await.map_err(|error| AccessError::Plugin {
        command: exec.command.unwrap_or_default(),
        reason: error.to_string(),
    })?;
    auth.token = issued.token.map(Into::into);
    if let Some((certificate, key)) = issued.certificate {
        auth.client_certificate_data = Some(BASE64.encode(certificate));
        auth.client_key_data = Some(BASE64.encode(key).into());
    }
    Ok(Settled { config, valid_until: issued.valid_until })
}

/// A token as people write it to a file: often with a line's end, which no header can hold.
fn token(path: &Path) -> Result<String, AccessError> {
    let unreadable = |reason: String| AccessError::TokenFile { path: path.to_owned(), reason };
    let token = fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    let token = token.trim();
    if token.is_empty() { Err(unreadable("it is empty".to_owned())) } else { Ok(token.to_owned()) }
}
