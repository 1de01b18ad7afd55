//! Leads, works, and hands over: the program of README.md.

use std::time::Duration;

use still_leading::{Access, Config, Elector, Term, shutdown_signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().init();
    let config = Config {
        lease: "my-controller".to_owned(),
        // A name. The random part that tells two containers of one pod apart is added.
        identity: std::env::var("POD_NAME")?.into(),
        ..Config::default()
    };
    let elector = Elector::new(Access::infer().await?, config)?;
    // Once for each term. Returns after SIGTERM, when the work has ended and the Lease is released.
    let end = elector.lead(shutdown_signal(), work).await?;
    tracing::info!(?end, "exiting");
    Ok(())
}

async fn work(term: Term) {
    loop {
        tokio::select! {
            () = term.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(5)) => {}
        }
        // Does not begin once the term is over, and is dropped when it ends meanwhile.
        let _ = term.guard(act(term.epoch())).await;
    }
}

async fn act(epoch: u64) {
    // Send the epoch along with what you write, and let the receiver reject an older one.
    tracing::info!(epoch, "still leading");
}
