//! The embedded DynamoDB, and the template's table in it or in another one.

use std::path::Path;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::client::Waiters;
use aws_sdk_dynamodb::error::{DisplayErrorContext, SdkError};
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, StreamSpecification, StreamViewType,
    TimeToLiveSpecification,
};
use dynoxide::Database;
use rusqlite::Connection;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::error::{AwsError, TableError};
use super::sdk::loopback;
use crate::listen;
use crate::template;

/// Pause between two removals of expired items; AWS takes up to a few days.
const TTL_SWEEP: Duration = Duration::from_secs(60);
/// Pause between two removals of processed records of the stream.
const STREAM_TRIM: Duration = Duration::from_secs(1);
/// How long records of the stream are kept at least, in seconds.
const STREAM_KEPT: i64 = 120;
/// The number that the database adds to the number of a record to give it the length of DynamoDB's.
const STREAM_OFFSET: i128 = 100_000_000_000_000_000_000;
/// The database's file inside the data directory.
const FILE: &str = "dynamodb.sqlite";
/// Longest wait for a new table.
const CREATE_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for running requests at a stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// The embedded DynamoDB, on a thread of its own: SQLite runs where the requests are answered and
/// would hold up the other servers.
pub(super) struct EmbeddedDynamoDb {
    pub(super) url: String,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

impl EmbeddedDynamoDb {
    /// Opens the database, in memory without a directory, and serves it on a loopback port.
    /// `processed` tells the number of the last record that every reader of the stream is done
    /// with.
    pub(super) async fn start(
        data_dir: Option<&Path>,
        processed: watch::Receiver<Option<String>>,
    ) -> Result<Self, AwsError> {
        let (database, stream) = open(data_dir)?;
        let listener = listen::bind().await?;
        let url = format!("http://{}", listener.local_addr()?);
        let listener = listener.into_std()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener)
                    .expect("the listener is non-blocking");
                let sweeper = tokio::spawn(sweep(database.clone()));
                let trimmer = tokio::spawn(stream.trim(processed));
                let stopped = async { stopped.await.unwrap_or_default() };
                // An error here is a socket that closed early, which its clients report better.
                let _ = dynoxide::server::serve_with_shutdown(listener, database, stopped).await;
                sweeper.abort();
                trimmer.abort();
            });
        };

        Ok(Self { url, stop, ended: tokio::task::spawn_blocking(serve) })
    }

    pub(super) async fn stop(self) {
        let _ = self.stop.send(());
        let _ = tokio::time::timeout(STOP_TIMEOUT, self.ended).await;
    }
}

fn open(data_dir: Option<&Path>) -> Result<(Database, StreamTable), AwsError> {
    let failed = |path: &str, reason: String| TableError::Open { path: path.to_owned(), reason };
    let path = match data_dir {
        // Two connections share it by its name, which is this start's own.
        None => format!("file:{}?mode=memory&cache=shared", uuid::Uuid::new_v4().simple()),
        Some(directory) => {
            let path = directory.join(FILE).display().to_string();
            std::fs::create_dir_all(directory).map_err(|error| failed(&path, error.to_string()))?;
            path
        }
    };

    let database = Database::new(&path).map_err(|error| failed(&path, error.to_string()))?;
    let stream = StreamTable::open(&path).map_err(|error| failed(&path, error.to_string()))?;
    Ok((database, stream))
}

/// The table in which the embedded DynamoDB keeps the records of its streams. It looks for the last
/// one at each write, without an index, and never drops any: with some thousands of records each
/// write would take milliseconds.
struct StreamTable(Connection);

impl StreamTable {
    /// Opens the database once more, and makes the indexes.
    fn open(path: &str) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "CREATE INDEX IF NOT EXISTS stream_numbers
                 ON _stream_records (table_name, CAST(sequence_number AS INTEGER));
             CREATE INDEX IF NOT EXISTS shard_numbers
                 ON _stream_records (table_name, shard_id, CAST(sequence_number AS INTEGER));",
        )?;
        Ok(Self(connection))
    }

    /// Drops what was processed a while ago, from time to time; AWS drops records after 24 hours.
    /// It runs on the database's own thread, between two requests, so that neither waits for the
    /// other.
    async fn trim(self, mut processed: watch::Receiver<Option<String>>) {
        while processed.changed().await.is_ok() {
            let last = processed.borrow_and_update().clone();
            let stored = last.and_then(|last| last.parse::<i128>().ok());
            if let Some(stored) = stored.and_then(|last| i64::try_from(last - STREAM_OFFSET).ok()) {
                let drop = "DELETE FROM _stream_records
                     WHERE table_name IN (SELECT table_name FROM _tables)
                       AND CAST(sequence_number AS INTEGER) < ?1
                       AND created_at < unixepoch() - ?2";
                // What stays is dropped the next time.
                let _ = self.0.execute(drop, [stored, STREAM_KEPT]);
            }

            tokio::time::sleep(STREAM_TRIM).await;
        }
    }
}

async fn sweep(database: Database) {
    let mut ticks = tokio::time::interval(TTL_SWEEP);
    loop {
        ticks.tick().await;
        // A sweep that fails is tried again at the next tick; nothing depends on it.
        let _ = database.sweep_ttl();
    }
}

/// Returns a client of the DynamoDB at this URL.
pub(super) fn client(url: &str) -> Client {
    Client::from_conf(loopback!(aws_sdk_dynamodb, url))
}

/// Makes the table and returns its physical name: fixed where data outlives the run, unique where a
/// DynamoDB may be shared. A table that is there already is kept.
pub(super) async fn create(
    client: &Client,
    table: &template::Table,
    stack_name: &str,
    is_lasting: bool,
) -> Result<String, TableError> {
    let name = match &table.name {
        Some(name) => name.clone(),
        None if is_lasting => stack_name.to_owned(),
        None => format!("{stack_name}-{}", uuid::Uuid::new_v4().simple()),
    };

    let failed = |reason: String| TableError::Create { table: table.logical_id.clone(), reason };
    let created =
        request(client, table, &name).map_err(|error| failed(error.to_string()))?.send().await;

    match created {
        Ok(_) => {}
        Err(SdkError::ServiceError(refused))
            if matches!(refused.err(), CreateTableError::ResourceInUseException(_)) =>
        {
            return Ok(name);
        }
        Err(error) => return Err(failed(DisplayErrorContext(error).to_string())),
    }

    let exists = client.wait_until_table_exists().table_name(&name).wait(CREATE_TIMEOUT).await;
    exists.map_err(|error| failed(error.to_string()))?;
    if let Some(attribute) = &table.time_to_live {
        let specification =
            TimeToLiveSpecification::builder().attribute_name(attribute).enabled(true).build();
        let specification = specification.map_err(|error| failed(error.to_string()))?;
        let update = client
            .update_time_to_live()
            .table_name(&name)
            .time_to_live_specification(specification);
        update.send().await.map_err(|error| failed(DisplayErrorContext(error).to_string()))?;
    }

    Ok(name)
}

/// Removes a table; one that cannot be removed stays, which does no harm.
pub(super) async fn delete(client: &Client, name: &str) {
    let _ = client.delete_table().table_name(name).send().await;
}

type CreateTable = aws_sdk_dynamodb::operation::create_table::builders::CreateTableFluentBuilder;
type Incomplete = aws_sdk_dynamodb::error::BuildError;

fn request(
    client: &Client,
    table: &template::Table,
    name: &str,
) -> Result<CreateTable, Incomplete> {
    let mut request = client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_key_schema(Some(key_schema(&table.keys)?));

    if let Some(view) = &table.stream {
        let stream = StreamSpecification::builder().stream_enabled(true);
        let stream = stream.stream_view_type(StreamViewType::from(view.as_str())).build()?;
        request = request.stream_specification(stream);
    }

    for (name, kind) in &table.attributes {
        let kind = ScalarAttributeType::from(kind.as_str());
        let definition =
            AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build()?;
        request = request.attribute_definitions(definition);
    }

    for index in &table.indexes {
        let index = GlobalSecondaryIndex::builder()
            .index_name(&index.name)
            .set_key_schema(Some(key_schema(&index.keys)?))
            .projection(projection(&index.projection))
            .build()?;
        request = request.global_secondary_indexes(index);
    }

    Ok(request)
}

fn key_schema(keys: &template::KeySchema) -> Result<Vec<KeySchemaElement>, Incomplete> {
    let element = |name: &String, kind| {
        KeySchemaElement::builder().attribute_name(name).key_type(kind).build()
    };

    let partition = std::iter::once(element(&keys.partition, KeyType::Hash));
    partition.chain(keys.sort.iter().map(|sort| element(sort, KeyType::Range))).collect()
}

fn projection(projection: &template::Projection) -> Projection {
    let (kind, attributes) = match projection {
        template::Projection::All => (ProjectionType::All, None),
        template::Projection::KeysOnly => (ProjectionType::KeysOnly, None),
        template::Projection::Include(attributes) => {
            (ProjectionType::Include, Some(attributes.clone()))
        }
    };
    Projection::builder().projection_type(kind).set_non_key_attributes(attributes).build()
}
