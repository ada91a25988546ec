//! As much as goes through: every pair offers again as soon as it was answered, so that a server
//! always has something to read. Who waits for whom costs little then, and what is left is the work
//! on a message.

use std::time::Duration;

use actix_web::rt;
use anyhow::Context;

use super::client::{Watch, answerer, keen};
use super::pairs::{Pair, echo_pairs, peerjs_pairs, product_pairs};
use super::process::Server;
use super::{Heard, Others, hear, region};
use crate::engine::Engine;
use crate::report::{Row, Table, median};
use crate::{Plan, tell};

/// So many that they keep two cores busy within the frames that one socket may say.
const PAIRS: usize = 800;
/// The time between two offers of one pair, at least; a socket has thirty frames a second.
const LEAST: Duration = Duration::from_millis(36);
const SDP_BYTES: [usize; 2] = [256, 2048];

/// The product, the bare echo and PeerJS in turn.
pub async fn table(plan: &Plan, Others { echo, peerjs }: &Others) -> anyhow::Result<Table> {
    tell("signaling: making another region");
    let visits = u64::try_from(PAIRS * SDP_BYTES.len())? * u64::from(plan.rounds);
    let (database, visits) = region::build(Engine::Sqlite, visits)?;
    let product = Server::product(&database)?;
    let mut table = Table::new("Signaling, as much as goes through");
    let mut visits = visits.chunks(PAIRS);
    for bytes in SDP_BYTES {
        let [words, echoes, peers] = names(bytes);
        let mut rows = [Row::new(words), Row::new(echoes), Row::new(peers)];
        let mut costs = [Vec::new(), Vec::new(), Vec::new()];
        for round in 1..=plan.rounds {
            tell(&format!("signaling, full, round {round} of {}, {bytes} bytes", plan.rounds));
            let here = visits.next().context("too few visits")?;
            let pairs = product_pairs(&product, here).await?;
            let mut rounds = vec![
                talk(plan, &product, pairs, bytes).await?,
                talk(plan, echo, echo_pairs(echo, PAIRS).await?, bytes).await?,
            ];
            if let Some(peerjs) = peerjs {
                let pairs = peerjs_pairs(peerjs, PAIRS).await?;
                rounds.push(talk(plan, peerjs, pairs, bytes).await?);
            }
            for ((row, cost), heard) in rows.iter_mut().zip(&mut costs).zip(rounds) {
                row.add(&heard.sample);
                cost.push(heard.cpu_secs * 1e6 / heard.messages);
            }
        }
        let costs = costs.map(|costs| median(&costs));
        for (row, micros) in rows.iter().zip(costs) {
            let (Some(micros), Some(ours)) = (micros, costs.first().copied().flatten()) else {
                continue;
            };
            table.notes.push(format!(
                "{}: {micros:.0} us of the processor per message, {:.0} messages per second and \
                 core; ours takes {:.2} of that.",
                row.what,
                1e6 / micros,
                ours / micros
            ));
        }
        let [ours, bare, peer] = &rows;
        table.ratio(ours, bare);
        if peerjs.is_some() {
            table.ratio(ours, peer);
        }
        table.rows.extend(rows.into_iter().filter(|row| !row.rates.is_empty()));
    }
    Ok(table)
}

fn names(bytes: usize) -> [&'static str; 3] {
    if bytes < 1024 {
        ["our room, full, 256 bytes", "bare echo, full, 256 bytes", "PeerJS, full, 256 bytes"]
    } else {
        ["our room, full, 2 KB", "bare echo, full, 2 KB", "PeerJS, full, 2 KB"]
    }
}

async fn talk(
    plan: &Plan,
    server: &Server,
    pairs: Vec<Pair>,
    bytes: usize,
) -> anyhow::Result<Heard> {
    let watch = Watch::new(plan.warm, plan.measured);
    let (mut offering, mut answering) = (Vec::new(), Vec::new());
    for ((socket, words), other) in pairs {
        offering.push(keen(socket, words, LEAST, bytes, &watch));
        if let Some((socket, words)) = other {
            answering.push(answerer(socket, words, bytes, &watch));
        }
    }
    let heard = hear(plan, &[server], &watch, offering).await;
    answering.iter().for_each(rt::task::JoinHandle::abort);
    heard
}
