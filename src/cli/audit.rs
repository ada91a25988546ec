//! `feldsher audit`: the proof that nobody has changed the audit log.

use std::io::{IsTerminal, Write};

use anyhow::bail;
use clap::Subcommand;
use feldsher::audit::{self, verify::Report};
use feldsher::base::config::Config;
use feldsher::base::db::{self, Conn, DatabaseUrl};
use feldsher::base::error::Error;
use feldsher::base::seal::hex;

use crate::cli::serve::close;
use crate::cli::{say, wait};

/// What can be done with the audit log.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Compute every chain anew and name the first row that does not fit
    #[command(after_help = "Example: feldsher audit verify\n\
        Keep the printed heads elsewhere: whoever rewrites a whole chain is found by them only. \
        On the embedded database, stop the server first.")]
    Verify,
}

/// Does it. A damaged log is a failure (exit code 1).
pub fn run(audit: &Audit, config: &Config) -> anyhow::Result<()> {
    let Audit::Verify = audit;
    let url: DatabaseUrl = config.database.url.0.parse()?;
    if let DatabaseUrl::Sqlite(path) = &url
        && !path.exists()
    {
        // A new and empty log would be "whole", and prove nothing.
        bail!("there is no database at {}; DATABASE_URL names it", path.display());
    }
    let (db, threads) = db::open(&url, 1, 8)?;
    let report: Result<Report, Error> = wait(async {
        let report = async { db.read(verify).await? }.await;
        drop(db);
        close(threads).await;
        report
    });
    tell(&report?)
}

fn verify(conn: &mut Conn) -> Result<Report, Error> {
    let is_watched = std::io::stderr().is_terminal();
    let mut progress = |rows: u64| {
        if is_watched {
            // Nobody misses a line of progress.
            drop(write!(std::io::stderr(), "\r{rows} rows"));
        }
    };
    let report = audit::verify(conn, &mut progress);
    if is_watched {
        drop(writeln!(std::io::stderr()));
    }
    report
}

fn tell(report: &Report) -> anyhow::Result<()> {
    for chain in &report.chains {
        let head = hex(&chain.hash);
        say(format_args!("chain {:>2}: {:>9} rows, head {head}", chain.chain, chain.rows))?;
    }
    for (chain, damage) in report.damaged() {
        say(format_args!("chain {chain:>2}: row {}: {}", damage.seq, damage.fault))?;
    }
    if !report.is_whole() {
        bail!("the audit log is damaged");
    }
    say(format_args!("{} rows, all whole", report.rows))
}
