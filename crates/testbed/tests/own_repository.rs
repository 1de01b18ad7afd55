//! `docs/in-your-own-repository.md`, followed to the letter in an empty folder: what comes out of it builds, bears the
//! reader's name everywhere, and elects.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use rustix::process::Signal;
use still_leading_testbed::guard::TempDir;
use still_leading_testbed::{ApiServer, Process, ServerKind, cargo, manifests, workspace};
use tokio::time::{Instant, sleep};

const NAME: &str = "my-controller";
/// Many times what anything here takes, once it is built.
const BOUND: Duration = Duration::from_secs(120);

/// A block of code, and what the page calls its language.
#[derive(Debug, Default)]
struct Block {
    language: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for event in Parser::new(page) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                open = Some(Block { language: language.into_string(), ..Block::default() });
            }
            Event::Text(text) => {
                if let Some(block) = &mut open {
                    block.text += &text;
                }
            }
            Event::End(TagEnd::CodeBlock) => blocks.extend(open.take()),
            _ => {}
        }
    }
    blocks
}

/// Does what a block says: runs it, writes the file that its first line names, or only shows what needs a cluster.
fn follow(block: &Block, at: &mut PathBuf) -> Result<()> {
    match block.language.as_str() {
        "console" => Ok(()),
        "sh" => {
            // As one would type it: `cd` holds for what comes after.
            let script = format!("set -euo pipefail\n{}\npwd", block.text);
            let output = cargo_environment("bash").args(["-c", &script]).current_dir(&*at).output();
            let output = output.context("starting bash")?;
            let [said, failed] = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
            ensure!(output.status.success(), "this block of the page fails:\n{}\n{failed}", block.text);
            *at = said.lines().last().context("bash did not say where it is")?.into();
            Ok(())
        }
        language => {
            let first = block.text.lines().next().unwrap_or_default();
            let file = first.trim_start_matches(['/', '#', ' ']);
            ensure!(first != file && !file.contains(' '), "a block of {language} does not name its file: {first}");
            fs::write(at.join(file), &block.text).with_context(|| format!("writing {file}"))
        }
    }
}

/// What cargo is told when a test runs it, for a program that runs cargo: one target directory for all.
fn cargo_environment(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, value) in cargo().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("CARGO_TARGET_DIR", workspace().join("target")).stdin(Stdio::null());
    // The page's manifest says nothing about debug builds; this is what saves half of linking them.
    command.envs([("CARGO_INCREMENTAL", "0"), ("CARGO_PROFILE_DEV_DEBUG", "line-tables-only")]);
    command
}

/// Follows the page and returns the folder that it leads to.
fn follow_the_page(dir: &TempDir) -> Result<PathBuf> {
    let page = fs::read_to_string(workspace().join("docs/in-your-own-repository.md"))?;
    symlink(workspace(), dir.path().join("still-leading"))?;
    let mut at = dir.path().to_owned();
    eprintln!("building what the page leads to; its dependencies may take a minute the first time");
    for block in blocks(&page) {
        follow(&block, &mut at)?;
    }
    Ok(at)
}

/// One replica.
struct Replica {
    process: Process,
    log: PathBuf,
}

impl Replica {
    fn start(name: &str, kubeconfig: &Path, dir: &Path) -> Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let mut command = Command::new(workspace().join("target/debug").join(NAME));
        command.envs([("POD_NAME", name), ("POD_NAMESPACE", NAME), ("LEASE_NAME", NAME), ("LISTEN", "127.0.0.1:0")]);
        command.env("KUBECONFIG", kubeconfig).env("NO_COLOR", "1").stdout(File::create(&log)?);
        let process = Process::spawn(command, |_| ()).context("starting what the page leads to")?;
        Ok(Self { process, log })
    }

    async fn wait_for(&self, what: &str) -> Result<()> {
        let deadline = Instant::now() + BOUND;
        loop {
            let said = fs::read_to_string(&self.log)?;
            if said.lines().any(|line| line.contains(what)) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("`{what}` was not logged:\n{said}");
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Every file below `folder` that still has our name in it.
fn with_our_name(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(with_our_name(&path)?);
        } else if fs::read_to_string(&path)?.contains("still-leading") {
            found.push(path);
        }
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_leads_to_a_controller_that_hands_over() -> Result<()> {
    let dir = TempDir::new("still-leading-own-")?;
    let folder = follow_the_page(&dir)?;
    ensure!(folder.ends_with(NAME), "the page leads to {}", folder.display());
    assert_eq!(with_our_name(&folder)?, Vec::<PathBuf>::new());

    let server = ApiServer::start(ServerKind::Embedded).await?;
    let lease = manifests::parse(&fs::read_to_string(folder.join("deploy/lease.yaml"))?)?;
    manifests::apply(&server.client()?, &lease, NAME).await?;
    let kubeconfig = server.admin_kubeconfig(dir.path(), NAME)?;
    let first = Replica::start("first", &kubeconfig, dir.path())?;
    first.wait_for("still leading").await?;
    let second = Replica::start("second", &kubeconfig, dir.path())?;
    first.process.signal(Signal::TERM)?;
    let ended = first.process.wait(BOUND).await?;
    ensure!(ended.success(), "the first replica ended with {ended}");
    second.wait_for("still leading").await
}

#[test]
fn the_blocks_of_a_page_are_found_with_their_languages() {
    let blocks = blocks("```toml\n# a.toml\nx = 1\n```\n\n```sh\ntrue\n```\n");
    assert_eq!(blocks.iter().map(|block| block.language.as_str()).collect::<Vec<_>>(), ["toml", "sh"]);
    assert_eq!(blocks[0].text, "# a.toml\nx = 1\n");
}
