//! The heartbeat of a node, and how it notices that another's has stopped.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant as Stopwatch};

use tokio::sync::Notify;
use tokio_postgres::Client;

use super::far::Office;
use super::news::News;
use super::tenure::{BEAT_MS, DEAD_MS, GOOD_MS, Moment};
use super::{Net, every, locked, rows};
use crate::base::db::link::{LinkError, link};

/// What this node has seen of the others, by its own clock: the database's can be set, and is
/// another one after a failover.
#[derive(Debug, Default)]
struct Seen {
    looked: Option<Stopwatch>,
    /// The last heartbeat of each, and since when it is the last.
    beats: HashMap<i64, (String, Stopwatch)>,
}

impl Seen {
    /// Notes who lives, and tells whose heart has stood still while this node looked on.
    fn note(&mut self, now: Stopwatch, living: &[(i64, String)]) -> Vec<(i64, String)> {
        let limit = Duration::from_millis(GOOD_MS);
        // Whoever has not looked for a while does not know how long the others were still.
        if self.looked.replace(now).is_none_or(|looked| now.duration_since(looked) > limit) {
            self.beats.clear();
        }
        self.beats.retain(|node, _| living.iter().any(|(alive, _)| alive == node));
        let mut dead = Vec::new();
        for (node, beat) in living {
            let (last, since) = self.beats.entry(*node).or_insert_with(|| (beat.clone(), now));
            if last != beat {
                (*last, *since) = (beat.clone(), now);
            }
            if now.duration_since(*since) >= Duration::from_millis(DEAD_MS) {
                dead.push((*node, beat.clone()));
            }
        }
        dead
    }
}

/// Says that this node lives, and ends those that do not, until another has ended this one.
pub(super) async fn beat(net: &Net, office: &Office) {
    let tenure = &office.tenure;
    let mut beats = every(BEAT_MS);
    let mut seen = Seen::default();
    loop {
        beats.tick().await;
        let asked = Moment::now();
        let done = async {
            let client = keep_link(net).await?;
            if !rows::beat(&client, tenure.node).await? {
                return Ok(false);
            }
            tenure.renew(asked);
            let mut living = rows::living(&client).await?;
            for (node, beat) in seen.note(Stopwatch::now(), &living) {
                if node != tenure.node && rows::bury(&client, node, &beat).await? {
                    tracing::warn!(node, "a node was not heard of any more, and is ended");
                    living.retain(|(alive, _)| *alive != node);
                }
            }
            for (session, untold) in office.know(living.into_iter().map(|(node, _)| node)) {
                net.hand_over(News::SignedOut(session, untold));
            }
            Ok::<_, LinkError>(true)
        };
        match done.await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(node = tenure.node, "the others have taken this node for dead");
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "a heartbeat was not taken");
                *locked(&net.keeper) = None;
                // Whoever was cut off does not judge others by its own silence.
                seen = Seen::default();
            }
        }
    }
}

async fn keep_link(net: &Net) -> Result<Arc<Client>, LinkError> {
    let kept = locked(&net.keeper).clone();
    if let Some(client) = kept.filter(|client| !client.is_closed()) {
        return Ok(client);
    }
    let client = Arc::new(link(&net.url, Arc::new(Notify::new())).await?);
    *locked(&net.keeper) = Some(Arc::clone(&client));
    Ok(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(beats: &[(i64, &str)]) -> Vec<(i64, String)> {
        beats.iter().map(|(node, beat)| (*node, (*beat).to_owned())).collect()
    }

    /// Looks once a second, from `from` to `to` seconds after the beginning; who is taken for dead.
    fn look(
        seen: &mut Seen,
        begun: Stopwatch,
        (from, to): (u64, u64),
        beats: &[(i64, &str)],
    ) -> Vec<(i64, String)> {
        let mut dead = Vec::new();
        for second in from..=to {
            dead.extend(seen.note(begun + Duration::from_secs(second), &told(beats)));
        }
        dead
    }

    #[test]
    fn a_heart_that_stands_still_is_noticed_whatever_the_database_calls_the_time() {
        let (mut seen, begun) = (Seen::default(), Stopwatch::now());
        for second in 0..10 {
            let (at, mine) = (begun + Duration::from_secs(second), second.to_string());
            // The clock of the database is set back an hour in the middle.
            let other = if second < 5 { "13:00:0" } else { "12:00:0" };
            let living = [(1, mine.clone()), (2, format!("{other}{mine}"))];
            assert_eq!(seen.note(at, &living), []);
        }
        assert_eq!(look(&mut seen, begun, (10, 13), &[(2, "12:00:10")]), []);
        assert_eq!(look(&mut seen, begun, (14, 14), &[(2, "12:00:10")]), told(&[(2, "12:00:10")]));
        // It was heard again before it was ended.
        assert_eq!(look(&mut seen, begun, (15, 18), &[(2, "12:00:15")]), []);
    }

    #[test]
    fn whoever_has_not_looked_for_a_while_buries_nobody() {
        let (mut seen, begun) = (Seen::default(), Stopwatch::now());
        assert_eq!(look(&mut seen, begun, (0, 2), &[(2, "old")]), []);
        assert_eq!(look(&mut seen, begun, (9, 12), &[(2, "old")]), [], "it was away itself");
        assert_eq!(look(&mut seen, begun, (13, 13), &[(2, "old")]), told(&[(2, "old")]));
    }
}
