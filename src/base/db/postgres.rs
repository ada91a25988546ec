//! PostgreSQL without libpq: diesel-async's connection, driven from one database thread.

use std::any::Any;
use std::time::Duration;

use diesel::connection::{
    Connection, ConnectionSealed, DefaultLoadingMode, Instrumentation, LoadConnection,
    MultiConnectionHelper, SimpleConnection, TransactionManager, TransactionManagerStatus,
};
use diesel::expression::QueryMetadata;
use diesel::migration::{CREATE_MIGRATIONS_TABLE, MigrationConnection};
use diesel::pg::{Pg, PgMetadataLookup, PgTypeMetadata};
use diesel::query_builder::{Query, QueryFragment, QueryId};
use diesel::{ConnectionError, ConnectionResult, QueryResult};
use diesel_async::{
    AnsiTransactionManager, AsyncConnection, AsyncConnectionCore, AsyncPgConnection,
    SimpleAsyncConnection, TransactionManager as AsyncTransactions,
};
use futures_util::StreamExt;
use tokio::runtime::Runtime;
use tokio_postgres::Socket;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::gave_way;

/// How long a connection may take to be made.
const CONNECT_SECS_MAX: u64 = 5;
/// How long what was sent may stay unanswered by the other machine, in seconds (TCP_USER_TIMEOUT).
const UNANSWERED_SECS_MAX: u64 = 15;
/// After how long a silence the other machine is asked, how often again, in seconds, and how many times.
const KEEPALIVE_IDLE_SECS: u64 = 10;
const KEEPALIVE_SECS: u64 = 5;
const KEEPALIVE_RETRIES: u32 = 3;

/// A PostgreSQL connection for synchronous code. Use it on a thread without a runtime.
pub struct PgRust {
    connection: AsyncPgConnection,
    gave_way: bool,
    // Last, so that the connection is dropped while its runtime still lives.
    runtime: Runtime,
}

impl PgRust {
    /// Whether the server no longer answers. Costs a round trip: ask after a failure only.
    pub fn is_closed(&mut self) -> bool {
        self.batch_execute("").is_err()
    }

    /// Whether a transaction here gave way to another since this was asked last. The error itself
    /// may have been turned into another one on its way.
    pub fn take_gave_way(&mut self) -> bool {
        std::mem::take(&mut self.gave_way)
    }

    /// Begins a transaction that sees one snapshot and writes nothing.
    pub fn begin_snapshot(&mut self) -> QueryResult<()> {
        self.runtime.block_on(AnsiTransactionManager::begin_transaction_sql(
            &mut self.connection,
            "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",
        ))
    }
}

/// A connection as the server gives it; nothing is read from it until it is polled.
type Dialled = (
    tokio_postgres::Client,
    tokio_postgres::Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>,
);

/// A server that vanishes without a word would hold its connection for hours: whatever the address does
/// not say itself is set so that it is noticed within half a minute.
fn notice_silence(config: &mut tokio_postgres::Config) {
    let unsaid = tokio_postgres::Config::new();
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(Duration::from_secs(UNANSWERED_SECS_MAX));
    }
    if config.get_keepalives_idle() == unsaid.get_keepalives_idle() {
        config.keepalives_idle(Duration::from_secs(KEEPALIVE_IDLE_SECS));
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_interval(Duration::from_secs(KEEPALIVE_SECS));
    }
    if config.get_keepalives_retries().is_none() {
        config.keepalives_retries(KEEPALIVE_RETRIES);
    }
}

pub(super) async fn dial(url: &str) -> ConnectionResult<Dialled> {
    // "db error" alone helps nobody; what the server said stands in the source.
    let bad = |error: tokio_postgres::Error| {
        let why = std::error::Error::source(&error).map(|source| format!(": {source}"));
        ConnectionError::BadConnection(format!("{error}{}", why.unwrap_or_default()))
    };
    let mut config: tokio_postgres::Config = url.parse().map_err(bad)?;
    config.connect_timeout(Duration::from_secs(CONNECT_SECS_MAX)).application_name("feldsher");
    notice_silence(&mut config);
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ConnectionError::BadConnection(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tls = MakeRustlsConnect::new(tls);
    config.connect(tls).await.map_err(bad)
}

async fn connect(url: String) -> ConnectionResult<AsyncPgConnection> {
    let (client, connection) = dial(&url).await?;
    AsyncPgConnection::try_from_client_and_connection(client, connection).await
}

impl Connection for PgRust {
    type Backend = Pg;
    type TransactionManager = PgTransactions;

    fn establish(url: &str) -> ConnectionResult<Self> {
        let bad = |text: String| ConnectionError::BadConnection(text);
        // Timers are on: connecting needs its deadline.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| bad(error.to_string()))?;
        let limit = Duration::from_secs(CONNECT_SECS_MAX * 2);
        let url = url.to_owned();
        let connection = runtime
            .block_on(async move { tokio::time::timeout(limit, connect(url)).await })
            .map_err(|elapsed| bad(elapsed.to_string()))??;
        Ok(Self { connection, gave_way: false, runtime })
    }

    fn execute_returning_count<T>(&mut self, source: &T) -> QueryResult<usize>
    where
        T: QueryFragment<Pg> + QueryId,
    {
        let done = self.runtime.block_on(self.connection.execute_returning_count(source));
        self.gave_way |= done.as_ref().is_err_and(gave_way);
        done
    }

    fn transaction_state(
        &mut self,
    ) -> &mut <PgTransactions as TransactionManager<Self>>::TransactionStateData {
        self.connection.transaction_state()
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        self.connection.instrumentation()
    }

    fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        self.connection.set_instrumentation(instrumentation);
    }

    fn set_prepared_statement_cache_size(&mut self, size: diesel::connection::CacheSize) {
        self.connection.set_prepared_statement_cache_size(size);
    }
}

impl ConnectionSealed for PgRust {}

impl SimpleConnection for PgRust {
    fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        self.runtime.block_on(self.connection.batch_execute(query))
    }
}

impl LoadConnection<DefaultLoadingMode> for PgRust {
    type Cursor<'conn, 'query> = std::vec::IntoIter<QueryResult<Self::Row<'conn, 'query>>>;
    type Row<'conn, 'query> = <AsyncPgConnection as AsyncConnectionCore>::Row<'conn, 'query>;

    fn load<'conn, 'query, T>(
        &'conn mut self,
        source: T,
    ) -> QueryResult<Self::Cursor<'conn, 'query>>
    where
        T: Query + QueryFragment<Pg> + QueryId + 'query,
        Pg: QueryMetadata<T::SqlType>,
    {
        let rows = self.runtime.block_on(async {
            let stream = self.connection.load(source).await?;
            Ok::<_, diesel::result::Error>(stream.collect::<Vec<_>>().await)
        });
        let failed =
            rows.as_ref().map_or_else(Some, |rows| rows.iter().find_map(|row| row.as_ref().err()));
        self.gave_way |= failed.is_some_and(gave_way);
        Ok(rows?.into_iter())
    }
}

impl MigrationConnection for PgRust {
    fn setup(&mut self) -> QueryResult<usize> {
        self.batch_execute(CREATE_MIGRATIONS_TABLE).map(|()| 0)
    }
}

/// Transactions of [`PgRust`]: diesel-async's, waited for.
pub struct PgTransactions;

impl TransactionManager<PgRust> for PgTransactions {
    type TransactionStateData =
        <AnsiTransactionManager as AsyncTransactions<AsyncPgConnection>>::TransactionStateData;

    fn begin_transaction(conn: &mut PgRust) -> QueryResult<()> {
        conn.runtime.block_on(AnsiTransactionManager::begin_transaction(&mut conn.connection))
    }

    fn rollback_transaction(conn: &mut PgRust) -> QueryResult<()> {
        conn.runtime.block_on(AnsiTransactionManager::rollback_transaction(&mut conn.connection))
    }

    fn commit_transaction(conn: &mut PgRust) -> QueryResult<()> {
        let commit = AnsiTransactionManager::commit_transaction(&mut conn.connection);
        let done = conn.runtime.block_on(commit);
        conn.gave_way |= done.as_ref().is_err_and(gave_way);
        done
    }

    fn transaction_manager_status_mut(conn: &mut PgRust) -> &mut TransactionManagerStatus {
        AnsiTransactionManager::transaction_manager_status_mut(&mut conn.connection)
    }

    fn is_broken_transaction_manager(conn: &mut PgRust) -> bool {
        AnsiTransactionManager::is_broken_transaction_manager(&mut conn.connection)
    }
}

/// We use built-in types only, whose numbers are in the code: nothing is ever looked up.
struct StaticTypes;

impl PgMetadataLookup for StaticTypes {
    fn lookup_type(&mut self, type_name: &str, _schema: Option<&str>) -> PgTypeMetadata {
        tracing::error!(type_name, "a column type without a number reached PostgreSQL");
        // 0 is "unspecified": the server infers the type.
        PgTypeMetadata::new(0, 0)
    }

    fn as_any<'a>(&mut self) -> &mut (dyn Any + 'a)
    where
        Self: 'a,
    {
        self
    }
}

impl MultiConnectionHelper for PgRust {
    fn to_any<'a>(
        _lookup: &mut <Pg as diesel::sql_types::TypeMetadata>::MetadataLookup,
    ) -> &mut (dyn Any + 'a) {
        // A box of a type without size takes no memory, so nothing leaks.
        Box::leak(Box::new(StaticTypes))
    }

    fn from_any(
        lookup: &mut dyn Any,
    ) -> Option<&mut <Pg as diesel::sql_types::TypeMetadata>::MetadataLookup> {
        let types: &mut dyn PgMetadataLookup = lookup.downcast_mut::<StaticTypes>()?;
        Some(types)
    }
}
