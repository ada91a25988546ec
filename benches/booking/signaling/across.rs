//! Two who sit at two processes: what they say goes over the database from one to the other.

use std::time::Duration;

use super::pairs::pairs_between;
use super::process::Server;
use super::{region, talk};
use crate::engine::Engine;
use crate::report::{Row, Table};
use crate::{Plan, tell};

const PAIRS: usize = 50;
/// How often each pair offers: with the answers, 200 messages a second.
const EVERY: Duration = Duration::from_millis(500);
const SDP_BYTES: usize = 2048;

/// Beside two who sit at one of these processes, in turn.
pub async fn table(plan: &Plan) -> anyhow::Result<Table> {
    let mut table = Table::new("Signaling, two processes on PostgreSQL, 200 messages a second");
    if std::env::var_os("TEST_DATABASE_URL").is_none() {
        table.notes.push("Not measured: there is no PostgreSQL.".to_owned());
        return Ok(table);
    }
    tell("signaling: making a region on PostgreSQL");
    let count = u64::try_from(PAIRS * 2)? * u64::from(plan.rounds);
    let (database, visits) = region::build(Engine::Postgres, count)?;
    let (one, other) = (Server::product(&database)?, Server::product(&database)?);
    let mut within = Row::new("within a process, 2 KB");
    let mut across = Row::new("from one process to the other, 2 KB");
    let (mut cpu, mut messages) = (0.0, 0.0);
    for (round, visits) in visits.chunks(PAIRS * 2).enumerate() {
        tell(&format!("signaling, two processes, round {} of {}", round + 1, plan.rounds));
        let (near, far) = visits.split_at(PAIRS.min(visits.len()));
        let pairs = pairs_between([one.address; 2], near).await?;
        within.add(&talk(plan, &[&one], pairs, (EVERY, SDP_BYTES)).await?.sample);
        let pairs = pairs_between([one.address, other.address], far).await?;
        let heard = talk(plan, &[&one, &other], pairs, (EVERY, SDP_BYTES)).await?;
        cpu += heard.cpu_secs;
        messages += heard.messages;
        across.add(&heard.sample);
    }
    table.notes.push(format!(
        "A message that crosses takes {:.0} us of the processor of both processes together, without \
         the database's.",
        cpu * 1e6 / messages
    ));
    table.latency(&across, &within);
    table.rows.extend([within, across]);
    Ok(table)
}
