//! The commands that are run on the cluster, as a reader would type them.

use std::fmt;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process;
use tokio::time::timeout;

/// More than any of them takes that is going to end.
const BOUND: Duration = Duration::from_secs(300);

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command(Vec<String>);

impl Command {
    /// Of these words, the first of which is the program.
    pub fn new<T: Into<String>>(words: impl IntoIterator<Item = T>) -> Self {
        Self(words.into_iter().map(Into::into).collect())
    }

    /// Runs it to its end, and returns what it printed.
    ///
    /// # Errors
    /// It cannot be started, fails, or takes too long. One line, with the last one that it printed.
    pub async fn run(&self) -> Result<String> {
        let output = timeout(BOUND, self.process().output()).await;
        let output = output.with_context(|| format!("`{self}` still ran after {BOUND:?}"))?;
        self.judge(output.with_context(|| format!("starting `{self}`"))?)
    }

    /// The same without a runtime, for when there is none any more.
    ///
    /// # Errors
    /// As for [`Command::run`], but it has no bound.
    pub fn run_now(&self) -> Result<String> {
        let output = self.process().into_std().output();
        self.judge(output.with_context(|| format!("starting `{self}`"))?)
    }

    /// In a process group of its own: Ctrl-C on a terminal must not end what heals the cluster.
    fn process(&self) -> process::Command {
        let (program, arguments) = self.0.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        let mut command = process::Command::new(program);
        command.args(arguments).stdin(Stdio::null()).process_group(0).kill_on_drop(true);
        command
    }

    fn judge(&self, output: Output) -> Result<String> {
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it does not say why");
            bail!("`{self}` failed ({}): {}", output.status, last.trim());
        }
        String::from_utf8(output.stdout).with_context(|| format!("`{self}` prints what is no text"))
    }
}

/// As one would type it; none of these words needs more than a pair of quotes.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, word) in self.0.iter().enumerate() {
            let space = if place == 0 { "" } else { " " };
            let quote = if word.contains([' ', ';', '{', '$']) { "'" } else { "" };
            write!(f, "{space}{quote}{word}{quote}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_would_be_typed() {
        let command = Command::new(["docker", "exec", "node", "sh", "-c", "a; b"]);
        assert_eq!(command.to_string(), "docker exec node sh -c 'a; b'");
    }

    #[tokio::test]
    async fn a_command_that_fails_says_so_in_one_line() {
        assert_eq!(Command::new(["echo", "a"]).run().await.unwrap(), "a\n");
        let command = Command::new(["sh", "-c", "echo first >&2; echo why >&2; exit 3"]);
        for error in [command.run().await.unwrap_err(), command.run_now().unwrap_err()] {
            let error = error.to_string();
            assert!(error.ends_with("failed (exit status: 3): why") && error.lines().count() == 1, "{error}");
        }
        let error = Command::new(["no-such-program"]).run().await.unwrap_err();
        assert_eq!(error.to_string(), "starting `no-such-program`");
    }
}
