//! The rows of nodes and rooms, on PostgreSQL. Every time in them is the server's own.

use std::future::Future;
use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use crate::base::db::link::LinkError;
use crate::encounter::EncounterId;

/// How long one statement may take.
const STATEMENT_SECS_MAX: u64 = 3;
/// How long the row of a node that has ended stays, for whoever asks what happened.
const ENDED_HOURS: i32 = 24;

/// A room that is this node's, and the number of its taking: whoever has it later has a higher one.
pub type Taken = (EncounterId, i64);

async fn in_time<T>(
    asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, LinkError> {
    Ok(tokio::time::timeout(Duration::from_secs(STATEMENT_SECS_MAX), asked).await??)
}

/// Rooms and the numbers of their taking.
async fn rooms(
    client: &Client,
    sql: &str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Taken>, LinkError> {
    let rows = in_time(client.query(sql, values)).await?;
    // What a column of type uuid says is one.
    let taken =
        |row: &tokio_postgres::Row| Some((row.get::<_, String>(0).parse().ok()?, row.get(1)));
    Ok(rows.iter().filter_map(taken).collect())
}

/// A number for a process that has come.
pub async fn enter(client: &Client) -> Result<i64, LinkError> {
    let row = client.query_one("INSERT INTO rtc_nodes DEFAULT VALUES RETURNING id", &[]);
    Ok(in_time(row).await?.get(0))
}

/// Says that a node lives; `false` when another has ended it.
pub async fn beat(client: &Client, node: i64) -> Result<bool, LinkError> {
    let sql = "UPDATE rtc_nodes SET seen_at = clock_timestamp()
        WHERE id = $1 AND ended_at IS NULL";
    Ok(in_time(client.execute(sql, &[&node])).await? > 0)
}

/// Ends a node whose last heartbeat is still the one that was seen so long ago.
pub async fn bury(client: &Client, node: i64, seen_at: &str) -> Result<bool, LinkError> {
    let sql = "UPDATE rtc_nodes SET ended_at = clock_timestamp()
        WHERE id = $1 AND ended_at IS NULL AND seen_at = $2::text::timestamptz";
    Ok(in_time(client.execute(sql, &[&node, &seen_at])).await? > 0)
}

/// Ends a node that goes by itself.
pub async fn leave(client: &Client, node: i64) -> Result<(), LinkError> {
    let sql = "UPDATE rtc_nodes SET ended_at = clock_timestamp()
        WHERE id = $1 AND ended_at IS NULL";
    in_time(client.execute(sql, &[&node])).await.map(drop)
}

/// Who lives, and when each was heard last; only good to be compared.
pub async fn living(client: &Client) -> Result<Vec<(i64, String)>, LinkError> {
    let sql = "SELECT id, seen_at::text FROM rtc_nodes WHERE ended_at IS NULL";
    let rows = in_time(client.query(sql, &[])).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Takes the rooms that nobody has, or whose node has ended, and tells which of them are this
/// node's now. Of two who ask at once one gets it. Also a room that is this node's already is taken
/// anew: a release of it that is still on its way finds another number.
pub async fn claim(
    client: &Client,
    node: i64,
    wanted: &[EncounterId],
) -> Result<Vec<Taken>, LinkError> {
    let sql = "INSERT INTO rtc_rooms AS room (encounter_id, node_id)
        SELECT DISTINCT id::uuid, $2::bigint FROM unnest($1::text[]) AS id ORDER BY 1
        ON CONFLICT (encounter_id) DO UPDATE SET node_id = excluded.node_id,
            fence = nextval('rtc_fences'), taken_at = clock_timestamp()
        WHERE room.node_id = excluded.node_id
        OR EXISTS (SELECT 1 FROM rtc_nodes
                   WHERE id = room.node_id AND ended_at IS NOT NULL)
        RETURNING encounter_id::text, fence";
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
    rooms(client, sql, &[&wanted, &node]).await
}

/// Takes the rooms of all nodes that have ended. Index: rtc_rooms_by_node.
pub async fn adopt(client: &Client, node: i64) -> Result<Vec<Taken>, LinkError> {
    let ended = "SELECT id FROM rtc_nodes WHERE ended_at IS NOT NULL";
    let rows = in_time(client.query(ended, &[])).await?;
    let ended: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    let sql = "UPDATE rtc_rooms SET node_id = $1, fence = nextval('rtc_fences'),
            taken_at = clock_timestamp()
        WHERE node_id = ANY ($2) RETURNING encounter_id::text, fence";
    rooms(client, sql, &[&node, &ended]).await
}

/// The rooms of a node, as they are written. Index: rtc_rooms_by_node.
pub async fn of(client: &Client, node: i64) -> Result<Vec<Taken>, LinkError> {
    let sql = "SELECT encounter_id::text, fence FROM rtc_rooms WHERE node_id = $1";
    rooms(client, sql, &[&node]).await
}

/// The node that has a room, living or not.
pub async fn owner(client: &Client, room: EncounterId) -> Result<Option<i64>, LinkError> {
    let sql = "SELECT node_id FROM rtc_rooms WHERE encounter_id = $1::text::uuid";
    let room = room.to_string();
    let row = in_time(client.query_opt(sql, &[&room])).await?;
    Ok(row.map(|row| row.get(0)))
}

/// Gives rooms up in which nobody is any more, as they were taken: a room that was taken anew
/// meanwhile stays.
pub async fn release(client: &Client, node: i64, taken: &[Taken]) -> Result<(), LinkError> {
    let sql = "DELETE FROM rtc_rooms AS room
        USING unnest($2::text[], $3::bigint[]) AS given_up (id, fence)
        WHERE room.node_id = $1 AND room.encounter_id = given_up.id::uuid
        AND room.fence = given_up.fence";
    let (ids, fences): (Vec<String>, Vec<i64>) =
        taken.iter().map(|(room, fence)| (room.to_string(), *fence)).unzip();
    in_time(client.execute(sql, &[&node, &ids, &fences])).await.map(drop)
}

/// Throws away what nobody will read: posts to the dead, and the dead themselves after a while.
pub async fn tidy(client: &Client) -> Result<(), LinkError> {
    let posts = "DELETE FROM rtc_posts WHERE receiver NOT IN
        (SELECT id FROM rtc_nodes WHERE ended_at IS NULL)";
    in_time(client.execute(posts, &[])).await?;
    let nodes = "DELETE FROM rtc_nodes
        WHERE ended_at < clock_timestamp() - make_interval(hours => $1)
        AND NOT EXISTS (SELECT 1 FROM rtc_rooms WHERE node_id = rtc_nodes.id)";
    in_time(client.execute(nodes, &[&ENDED_HOURS])).await.map(drop)
}

/// The visits in which somebody has a seat. Index: rtc_sessions_by_encounter.
pub async fn open_rooms(client: &Client) -> Result<Vec<EncounterId>, LinkError> {
    let sql = "SELECT DISTINCT encounter_id::text FROM rtc_sessions WHERE ended_at IS NULL";
    let rows = in_time(client.query(sql, &[])).await?;
    Ok(rows.iter().filter_map(|row| row.get::<_, String>(0).parse().ok()).collect())
}
