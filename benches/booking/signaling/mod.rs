//! Signaling: how fast the product carries a word from one participant to the other, beside a bare
//! WebSocket echo and beside PeerJS in the same run; what a seat costs; what a crowd costs.

mod across;
mod busy;
mod client;
pub mod echo;
mod pairs;
mod process;
mod region;

use std::time::{Duration, Instant};

use actix_web::rt;
use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};

use self::client::{Seat, Socket, Watch, answerer, offerer};
use self::pairs::{Pair, echo_pairs, peerjs_pairs, product_pairs, seated, ticket, tickets};
use self::process::Server;
use self::region::Visit;
use crate::engine::Engine;
use crate::load::Sample;
use crate::report::{Row, Table, median};
use crate::{Plan, tell};

/// Pairs that talk in the latency rounds, and how often each offers: with the answers, a thousand
/// messages a second.
const PAIRS: usize = 50;
const OFFERS_PER_SECOND: u32 = 10;
/// Rooms with two people who talk once in a while, beside the seats of those who only sit.
const ROOMS: usize = 1000;
const SEATS: usize = 10_000;
/// Open sockets of the bare echo whose memory is looked at.
const BARE: usize = 4000;
/// How many come at once.
const STORM: usize = 500;
const SDP_BYTES: [usize; 2] = [256, 2048];
/// How often an idle client says `ping`.
const PING: Duration = Duration::from_secs(5);
/// How many take their seats at once while a hall is filled.
const COMING: usize = 64;

/// All of it on one engine: the database is not on a word's way.
pub fn tables(plan: &Plan) -> anyhow::Result<Vec<Table>> {
    rt::System::new().block_on(async {
        tell("signaling: installing PeerJS");
        let others = Others { echo: Server::echo()?, peerjs: Server::peerjs()? };
        let mut tables = vec![relay(plan, &others).await?, busy::table(plan, &others).await?];
        drop(others);
        tables.push(across::table(plan).await?);
        tables.push(crowd(plan).await?);
        Ok(tables)
    })
}

/// What the product is measured beside.
struct Others {
    echo: Server,
    /// Missing where there is no npm.
    peerjs: Option<Server>,
}

/// What one round had to say.
struct Heard {
    sample: Sample,
    /// Processor time of the server, in seconds.
    cpu_secs: f64,
    messages: f64,
}

async fn relay(plan: &Plan, Others { echo, peerjs }: &Others) -> anyhow::Result<Table> {
    tell("signaling: making the region");
    let visits = u64::try_from(PAIRS * SDP_BYTES.len())? * u64::from(plan.rounds);
    let (database, visits) = region::build(Engine::Sqlite, visits)?;
    let product = Server::product(&database)?;
    let mut table = Table::new("Signaling, 50 pairs, 1,000 messages a second");
    let mut visits = visits.chunks(PAIRS);
    for bytes in SDP_BYTES {
        let (words, echoes, peers) = names(bytes);
        let pace = (Duration::from_secs(1) / OFFERS_PER_SECOND, bytes);
        let mut rows = [Row::new(words), Row::new(echoes), Row::new(peers)];
        let mut cpu = [Vec::new(), Vec::new(), Vec::new()];
        for round in 1..=plan.rounds {
            tell(&format!("signaling, round {round} of {}, {bytes} bytes", plan.rounds));
            let here = visits.next().context("too few visits")?;
            let mut rounds = vec![
                talk(plan, &[&product], product_pairs(&product, here).await?, pace).await?,
                talk(plan, &[echo], echo_pairs(echo, PAIRS).await?, pace).await?,
            ];
            if let Some(peerjs) = peerjs {
                let pairs = peerjs_pairs(peerjs, PAIRS).await?;
                rounds.push(talk(plan, &[peerjs], pairs, pace).await?);
            }
            for ((row, cpu), heard) in rows.iter_mut().zip(&mut cpu).zip(rounds) {
                row.add(&heard.sample);
                cpu.push(heard.cpu_secs * 1e6 / heard.messages);
            }
        }
        let [ours, bare, peer] = &rows;
        table.latency(ours, bare);
        if peerjs.is_some() {
            table.latency(ours, peer);
        }
        for (row, micros) in rows.iter().zip(cpu.iter().map(|cpu| median(cpu))) {
            let Some(micros) = micros else { continue };
            table.notes.push(format!(
                "{}: {micros:.0} us of the server's processor per message, {:.0} messages per \
                 second and core.",
                row.what,
                1e6 / micros
            ));
        }
        table.rows.extend(rows.into_iter().filter(|row| !row.rates.is_empty()));
    }
    if peerjs.is_none() {
        table.notes.push("PeerJS was not measured: it needs node and npm.".to_owned());
    }
    Ok(table)
}

fn names(bytes: usize) -> (&'static str, &'static str, &'static str) {
    if bytes < 1024 {
        ("our room, 256 bytes", "bare echo, 256 bytes", "PeerJS, 256 bytes")
    } else {
        ("our room, 2 KB", "bare echo, 2 KB", "PeerJS, 2 KB")
    }
}

/// All pairs talk for the time of a round, each so often and in so many bytes, through these servers
/// together.
async fn talk(
    plan: &Plan,
    servers: &[&Server],
    pairs: Vec<Pair>,
    (every, bytes): (Duration, usize),
) -> anyhow::Result<Heard> {
    let watch = Watch::new(plan.warm, plan.measured);
    let count = u32::try_from(pairs.len())?;
    let mut offering = Vec::new();
    let mut answering = Vec::new();
    for (number, ((socket, words), other)) in (0_u32..).zip(pairs) {
        let pace = (every, every * number / count);
        offering.push(offerer(socket, words, pace, bytes, &watch));
        if let Some((socket, words)) = other {
            answering.push(answerer(socket, words, bytes, &watch));
        }
    }
    let heard = hear(plan, servers, &watch, offering).await;
    answering.iter().for_each(rt::task::JoinHandle::abort);
    heard
}

/// Waits until all who offer have done so, and looks what it has cost meanwhile.
async fn hear(
    plan: &Plan,
    servers: &[&Server],
    watch: &Watch,
    offering: Vec<rt::task::JoinHandle<anyhow::Result<()>>>,
) -> anyhow::Result<Heard> {
    let cpu_secs = || servers.iter().map(|server| server.cpu_secs()).sum::<anyhow::Result<f64>>();
    let (begin, end) = watch.times();
    rt::time::sleep_until(begin.into()).await;
    let before = cpu_secs()?;
    rt::time::sleep_until(end.into()).await;
    let cpu_secs = cpu_secs()? - before;
    for task in offering {
        task.await??;
    }
    let took = watch.took();
    let messages = f64::from(u32::try_from(took.len())?.max(1));
    Ok(Heard { sample: Sample::of(took, plan.measured), cpu_secs, messages })
}

/// Very many who sit and wait, a thousand rooms in which two talk, a crowd that comes at once, and
/// one whose sockets were cut.
async fn crowd(plan: &Plan) -> anyhow::Result<Table> {
    tell("signaling: making a larger region");
    let waiting = SEATS / 2;
    let (database, visits) =
        region::build(Engine::Sqlite, u64::try_from(waiting + ROOMS + STORM)?)?;
    let server = Server::product(&database)?;
    let mut table = Table::new("Signaling, very many seats");
    let (idle, rest) = visits.split_at(waiting);
    let (rooms, storm) = rest.split_at(ROOMS);

    // Nobody is counted before the server has served somebody.
    let first = product_pairs(&server, storm.get(..1).context("no visit")?).await?;
    let (empty, cpu) = (server.rss_kb()?, server.cpu_secs()?);
    let addresses = [server.address; 2];
    let (mut kept, mut drawn, mut held) = (Vec::new(), 0.0, 0.0);
    for (at, visits) in idle.chunks(200).enumerate() {
        tell(&format!("signaling: {} of {SEATS} seats", at * 400));
        // A ticket brings the visit's rows into the database's cache, which has a size of its own.
        let before = server.rss_kb()?;
        let tickets = stream::iter(visits).map(|visit| tickets(addresses, visit));
        let tickets: Vec<_> = tickets.buffer_unordered(COMING).try_collect().await?;
        let between = server.rss_kb()?;
        let seats = stream::iter(tickets).map(|tickets| seated(addresses, tickets));
        let seats: Vec<_> = seats.buffer_unordered(COMING).try_collect().await?;
        kept.extend(seats.into_iter().flatten().map(|seat| seat.keep(PING)));
        drawn += between - before;
        held += server.rss_kb()? - between;
    }
    let count = f64::from(u32::try_from(kept.len())?);
    table.notes.push(format!(
        "A seat that waits costs {:.1} kB of memory, {:.1} of them while its ticket is drawn, when \
         the database's cache fills, and {:.1} when it is taken; a socket of the bare echo costs \
         {:.1} kB. It cost {:.2} ms of the processor to take, ticket and database included \
         ({count:.0} seats; the aim is 24 kB).",
        (server.rss_kb()? - empty) / count,
        drawn / count,
        held / count,
        bare_kb().await?,
        (server.cpu_secs()? - cpu) * 1000.0 / count
    ));
    let before = (server.cpu_secs()?, Instant::now());
    rt::time::sleep(plan.measured).await;
    table.notes.push(format!(
        "They keep {:.0} % of one core busy ({count:.0} pings in 5 s, a look into the database \
         every 30 s).",
        (server.cpu_secs()? - before.0) * 100.0 / before.1.elapsed().as_secs_f64()
    ));

    tell("signaling: a thousand rooms beside them");
    let pairs = product_pairs(&server, rooms).await?;
    let mut row = Row::new("1,000 rooms beside 10,000 idle seats");
    // Once a second and room: with the answers, 2,000 messages.
    let heard = talk(plan, &[&server], pairs, (Duration::from_secs(1), 2048)).await?;
    row.add(&heard.sample);
    table.rows.push(row);
    table.notes.push(format!(
        "With the thousand rooms they keep {:.0} % of one core busy, {:.0} kB in all.",
        heard.cpu_secs * 100.0 / plan.measured.as_secs_f64(),
        server.rss_kb()?
    ));

    tell("signaling: five hundred come at once");
    table.rows.extend(storms(&server, storm.get(1..).unwrap_or_default()).await?);
    kept.iter().for_each(rt::task::JoinHandle::abort);
    drop(first);
    Ok(table)
}

/// What an open socket of the bare echo costs, in kilobytes.
async fn bare_kb() -> anyhow::Result<f64> {
    let echo = Server::echo()?;
    let open = |count: usize| {
        let sockets = stream::iter(0..count).map(|_| Socket::open(echo.address, "/v1/rtc"));
        sockets.buffer_unordered(COMING).try_collect::<Vec<_>>()
    };
    let first = open(COMING).await?;
    let empty = echo.rss_kb()?;
    let sockets = open(BARE).await?;
    let cost = (echo.rss_kb()? - empty) / f64::from(u32::try_from(sockets.len())?);
    drop(first);
    Ok(cost)
}

/// A crowd that has its tickets and comes at once; then all their sockets are cut, and they come
/// back.
async fn storms(server: &Server, visits: &[Visit]) -> anyhow::Result<[Row; 2]> {
    let address = server.address;
    let tickets = stream::iter(visits)
        .map(|visit| async move { ticket(address, &visit.encounter, &visit.patient).await });
    let tickets: Vec<String> = tickets.buffer_unordered(COMING).try_collect().await?;
    let mut came = Row::new("500 come at once, until all are seated");
    let (seats, sample) =
        at_once(tickets, |ticket| async move { Seat::take(address, &ticket).await }).await?;
    came.add(&sample);
    let mut back = Row::new("their sockets are cut, until all are back");
    let (_seats, sample) = at_once(seats, |seat| seat.resume(address)).await?;
    back.add(&sample);
    Ok([came, back])
}

/// Does all of it at once, and tells how long each took.
async fn at_once<A: 'static, T: 'static, F: Future<Output = anyhow::Result<T>> + 'static>(
    all: Vec<A>,
    work: impl Fn(A) -> F,
) -> anyhow::Result<(Vec<T>, Sample)> {
    let begin = Instant::now();
    let tasks = all.into_iter().map(|one| {
        let work = work(one);
        rt::spawn(async move { work.await.map(|made| (made, begin.elapsed())) })
    });
    let (mut made, mut took) = (Vec::new(), Vec::new());
    for task in tasks.collect::<Vec<_>>() {
        let (one, time) = task.await??;
        made.push(one);
        took.push(time);
    }
    let whole = begin.elapsed();
    Ok((made, Sample::of(took, whole)))
}
