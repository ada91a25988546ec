//! Two who talk to one another, on each of the servers that are measured.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::COMING;
use super::client::{Seat, Socket, Words, at};
use super::process::Server;
use super::region::Visit;

/// Two sockets and the words of each.
pub type Pair = ((Socket, Words), Option<(Socket, Words)>);

/// Two people in each visit, let in, who may describe their sessions to one another.
pub async fn product_pairs(server: &Server, visits: &[Visit]) -> anyhow::Result<Vec<Pair>> {
    pairs_between([server.address; 2], visits).await
}

/// As [`product_pairs`]; the doctor sits at the first address, the patient at the other.
pub async fn pairs_between(
    addresses: [SocketAddr; 2],
    visits: &[Visit],
) -> anyhow::Result<Vec<Pair>> {
    let pairs = stream::iter(visits).map(|visit| async move {
        let [doctor, patient] = seated(addresses, tickets(addresses, visit).await?).await?;
        let ((doctor, edge), (patient, _)) = let_in(doctor, patient).await?;
        anyhow::Ok(((doctor.socket, edge.clone()), Some((patient.socket, edge))))
    });
    pairs.buffer_unordered(COMING).try_collect().await
}

/// The tickets of both, each from an address.
pub async fn tickets([here, there]: [SocketAddr; 2], visit: &Visit) -> anyhow::Result<[String; 2]> {
    Ok([
        ticket(here, &visit.encounter, &visit.doctor).await?,
        ticket(there, &visit.encounter, &visit.patient).await?,
    ])
}

/// Both take their seats, each at an address; the room is where the doctor came first.
pub async fn seated(
    [here, there]: [SocketAddr; 2],
    [doctor, patient]: [String; 2],
) -> anyhow::Result<[Seat; 2]> {
    Ok([Seat::take(here, &doctor).await?, Seat::take(there, &patient).await?])
}

type Ready = (Seat, Words);

async fn let_in(mut doctor: Seat, mut patient: Seat) -> anyhow::Result<(Ready, Ready)> {
    let admit = json!({"v": 1, "t": "admit", "body": {"participant": patient.participant}});
    doctor.socket.say(&admit).await?;
    let words = |said: &Value| {
        let edge =
            at(said, "/edge").as_str().map(str::to_owned).context("an edge without a name")?;
        anyhow::Ok(Words::Product { edge, generation: at(said, "/gen").clone() })
    };
    let ours = words(&doctor.hear_of("negotiate").await?)?;
    let theirs = words(&patient.hear_of("negotiate").await?)?;
    Ok(((doctor, ours), (patient, theirs)))
}

/// What `join` hands out.
pub async fn ticket(address: SocketAddr, encounter: &str, token: &str) -> anyhow::Result<String> {
    let client = awc::Client::builder().timeout(Duration::from_secs(60)).finish();
    let mut answer = client
        .post(format!("http://{address}/v1/encounters/{encounter}/join"))
        .bearer_auth(token)
        .send_json(&json!({}))
        .await
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let said: Value = answer.json().await?;
    match at(&said, "/ticket").as_str() {
        Some(ticket) => Ok(ticket.to_owned()),
        None => bail!("no ticket: {} {}", answer.status(), at(&said, "/code")),
    }
}

/// As many sockets and messages as so many pairs have.
pub async fn echo_pairs(server: &Server, count: usize) -> anyhow::Result<Vec<Pair>> {
    let mut pairs: Vec<Pair> = Vec::new();
    for _ in 0..count * 2 {
        pairs.push(((Socket::open(server.address, "/v1/rtc").await?, Words::Bare), None));
    }
    Ok(pairs)
}

/// So many pairs of two who know one another's name.
pub async fn peerjs_pairs(server: &Server, count: usize) -> anyhow::Result<Vec<Pair>> {
    let mut pairs: Vec<Pair> = Vec::new();
    for number in 0..count {
        let name = |side: &str| format!("{side}{number}x{}", uuid::Uuid::new_v4());
        let (one, other) = (name("a"), name("b"));
        let mut sockets = Vec::new();
        for id in [&one, &other] {
            let path = format!("/peerjs?key=peerjs&id={id}&token={number}");
            let mut socket = Socket::open(server.address, &path).await?;
            if at(&socket.hear().await?, "/type") != "OPEN" {
                bail!("PeerJS did not open");
            }
            sockets.push(socket);
        }
        let (Some(second), Some(first)) = (sockets.pop(), sockets.pop()) else { continue };
        let answers = Some((second, Words::PeerJs { to: one }));
        pairs.push(((first, Words::PeerJs { to: other }), answers));
    }
    Ok(pairs)
}
