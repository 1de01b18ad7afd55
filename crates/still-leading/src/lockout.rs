//! Since when the API server does not let this process in.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A replica that was refused for so many renew deadlines should be restarted: for two minutes, with the default of ten seconds.
/// A credential that was rotated arrives in a pod within one and a half, so an earlier restart would gain nothing.
const AFTER: u32 = 12;

/// Notes whether the API server lets this process in: whether it refuses the credentials (401), or TLS fails between the two.
/// An API server that is down, slow or unreachable is neither, since a restart of this process would not mend that.
///
/// An [`Elector`](crate::Elector) keeps one of its own, and publishes it as `Status::locked_out`. For an election by another
/// crate, feed one with the answers to its client's requests. Clones are the same one.
#[derive(Clone, Default)]
pub struct Lockout(Arc<Mutex<Option<Refusal>>>);

struct Refusal {
    first: Instant,
    last: Instant,
    words: String,
}

impl Lockout {
    /// Notes an answer by its HTTP status. Returns whether it is a refusal.
    pub fn note_status(&self, status: u16) -> bool {
        match status {
            401 => self.refused("the API server refuses the credentials (401)".to_owned()),
            // Not necessarily the API server's own word.
            500.. => return false,
            _ => *self.state() = None,
        }
        status == 401
    }

    /// Notes that there was no answer. Returns whether that is because of TLS.
    pub fn note_error(&self, error: &(dyn Error + 'static)) -> bool {
        let words = of_tls(error);
        let is_of_tls = words.is_some();
        if let Some(words) = words {
            self.refused(format!("TLS fails between this replica and the API server: {words}"));
        }
        is_of_tls
    }

    /// Why this process is locked out, if it was for twelve renew deadlines: it was refused all the time, and is still. Report it
    /// as not healthy then, so that the kubelet restarts it.
    #[must_use]
    pub fn reason(&self, renew_deadline: Duration) -> Option<String> {
        let bound = renew_deadline.saturating_mul(AFTER);
        let state = self.state();
        // From one refusal to another: nothing that happened to be heard of meanwhile counts.
        let refusal = state.as_ref().filter(|refusal| refusal.last.duration_since(refusal.first) >= bound)?;
        Some(format!("for more than {bound:?}, {}", refusal.words))
    }

    #[cfg(feature = "kube")]
    pub(crate) fn is_refused(&self) -> bool {
        self.state().is_some()
    }

    fn refused(&self, words: String) {
        let (mut state, now) = (self.state(), Instant::now());
        let first = state.as_ref().map_or(now, |refusal| refusal.first);
        *state = Some(Refusal { first, last: now, words });
    }

    fn state(&self) -> MutexGuard<'_, Option<Refusal>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Lockout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lockout").field(&self.state().as_ref().map(|refusal| &refusal.words)).finish()
    }
}

/// What TLS has to complain about, if it is TLS. rustls reports an error of I/O with invalid data, OpenSSL its own.
fn of_tls(error: &(dyn Error + 'static)) -> Option<String> {
    let io = error.downcast_ref::<io::Error>();
    let is_of_openssl = || error.to_string().contains("SSL routines");
    if io.is_some_and(|io| io.kind() == io::ErrorKind::InvalidData) || is_of_openssl() {
        return Some(error.to_string());
    }
    // The source of an I/O error that wraps another one is not that other one, but its source.
    let wrapped = io.and_then(io::Error::get_ref).and_then(|wrapped| of_tls(wrapped));
    wrapped.or_else(|| of_tls(error.source()?))
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn only_refusals_count_and_one_answer_ends_them() {
        let lockout = Lockout::default();
        assert!(lockout.note_status(401));
        advance(DEADLINE * 24).await;
        assert_eq!(lockout.reason(DEADLINE), None, "nothing was heard since");
        lockout.note_status(401);
        assert_eq!(
            lockout.reason(DEADLINE).as_deref(),
            Some("for more than 120s, the API server refuses the credentials (401)")
        );
        assert!(!lockout.note_status(503));
        assert!(lockout.reason(DEADLINE).is_some(), "a proxy may say that");
        assert!(!lockout.note_status(200));
        assert_eq!(lockout.reason(DEADLINE), None);
        lockout.note_status(401);
        advance(DEADLINE * 6).await;
        lockout.note_status(401);
        assert_eq!(lockout.reason(DEADLINE), None, "counted from the first refusal after the last success");
    }

    #[test]
    fn an_error_of_tls_is_found_however_it_is_wrapped_and_no_other_counts() {
        let tls = || io::Error::new(io::ErrorKind::InvalidData, "invalid peer certificate: UnknownIssuer");
        let lockout = Lockout::default();
        assert!(lockout.note_error(&tls()));
        assert!(lockout.note_error(&io::Error::other(tls())));
        assert!(lockout.note_error(&io::Error::other("error:0A000086:SSL routines::certificate verify failed")));
        for kind in [io::ErrorKind::ConnectionRefused, io::ErrorKind::UnexpectedEof, io::ErrorKind::TimedOut] {
            assert!(!lockout.note_error(&io::Error::other(io::Error::from(kind))), "{kind}");
        }
    }
}
