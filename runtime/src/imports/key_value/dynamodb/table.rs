//! The operations on the table, each as one call of DynamoDB or a few.
//!
//! An item is that of Spin's `aws_dynamo`: `PK` is the key, `VAL` the value. Spin also has `VER`, for interfaces that compare and
//! swap; a plain write removes it here, as it does there.

use crate::imports::key_value::custom::KeyPage;
use crate::imports::key_value::outage::{Cause, Failure, Fault};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, DeleteRequest, KeySchemaElement, KeyType,
    KeysAndAttributes, PutRequest, ScalarAttributeType, TableStatus, WriteRequest,
};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::sleep;

const KEY: &str = "PK";
const VALUE: &str = "VAL";

/// What DynamoDB takes in one `BatchGetItem` and one `BatchWriteItem`.
pub const MAX_GET: usize = 100;
pub const MAX_WRITE: usize = 25;

/// How often what DynamoDB has left undone of a batch is asked for again.
const MAX_ROUNDS: u32 = 6;

/// How long to wait before the second round; twice as long before each other.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// How often to look whether a table is there that is being created.
const CREATION_INTERVAL: Duration = Duration::from_millis(200);

type Item = HashMap<String, AttributeValue>;

fn item(key: &str) -> Item {
    HashMap::from([(KEY.to_owned(), AttributeValue::S(key.to_owned()))])
}

fn take_key(item: &mut Item) -> Option<String> {
    match item.remove(KEY) {
        Some(AttributeValue::S(key)) => Some(key),
        _ => None,
    }
}

fn take_value(item: &mut Item) -> Option<Vec<u8>> {
    match item.remove(VALUE) {
        Some(AttributeValue::B(value)) => Some(value.into_inner()),
        _ => None,
    }
}

pub async fn get(client: Client, table: &str, key: &str) -> Result<Option<Vec<u8>>, Cause> {
    let get = client.get_item().table_name(table).consistent_read(true);
    let answer = get
        .set_key(Some(item(key)))
        .projection_expression(VALUE)
        .send()
        .await?;
    Ok(answer.item.and_then(|mut item| take_value(&mut item)))
}

pub async fn set(client: Client, table: &str, key: &str, value: &[u8]) -> Result<(), Cause> {
    let put = client
        .put_item()
        .table_name(table)
        .set_item(Some(item(key)));
    put.item(VALUE, AttributeValue::B(Blob::new(value)))
        .send()
        .await?;
    Ok(())
}

pub async fn delete(client: Client, table: &str, key: &str) -> Result<(), Cause> {
    let delete = client.delete_item().table_name(table);
    delete.set_key(Some(item(key))).send().await?;
    Ok(())
}

/// The page behind the key `after`, in no order: as many keys as DynamoDB reads at once, at most `count`.
pub async fn scan(
    client: Client,
    table: &str,
    after: Option<&str>,
    count: u32,
) -> Result<KeyPage, Cause> {
    let scan = client.scan().table_name(table).consistent_read(true);
    let answer = scan
        .projection_expression(KEY)
        .set_exclusive_start_key(after.map(item))
        .limit(i32::try_from(count).unwrap_or(i32::MAX))
        .send()
        .await?;
    let items = answer.items.unwrap_or_default();
    Ok(KeyPage {
        keys: items
            .into_iter()
            .filter_map(|mut item| take_key(&mut item))
            .collect(),
        cursor: answer
            .last_evaluated_key
            .and_then(|mut item| take_key(&mut item)),
    })
}

/// The values of at most [`MAX_GET`] different keys, of those that are there.
pub async fn get_many(
    client: Client,
    table: &str,
    keys: &[&str],
) -> Result<HashMap<String, Vec<u8>>, Cause> {
    let request = KeysAndAttributes::builder()
        .set_keys(Some(keys.iter().copied().map(item).collect()))
        .projection_expression(format!("{KEY},{VALUE}"))
        .consistent_read(true)
        .build()?;
    let mut requests = HashMap::from([(table.to_owned(), request)]);
    let mut values = HashMap::new();
    for round in 0..MAX_ROUNDS {
        pause(round).await;
        let get = client.batch_get_item().set_request_items(Some(requests));
        let answer = get.send().await?;
        for mut item in answer.responses.unwrap_or_default().into_values().flatten() {
            if let (Some(key), Some(value)) = (take_key(&mut item), take_value(&mut item)) {
                values.insert(key, value);
            }
        }
        requests = answer.unprocessed_keys.unwrap_or_default();
        if requests.is_empty() {
            return Ok(values);
        }
    }
    Err(left_undone())
}

/// Sets, or with `None` removes, at most [`MAX_WRITE`] different keys, each by itself.
pub async fn write_many(
    client: Client,
    table: &str,
    changes: &[(&str, Option<&[u8]>)],
) -> Result<(), Cause> {
    let mut requests = Vec::with_capacity(changes.len());
    for (key, value) in changes {
        let request = WriteRequest::builder();
        requests.push(match value {
            Some(value) => {
                let put = PutRequest::builder().set_item(Some(item(key)));
                let put = put.item(VALUE, AttributeValue::B(Blob::new(*value)));
                request.put_request(put.build()?).build()
            }
            None => {
                let delete = DeleteRequest::builder().set_key(Some(item(key)));
                request.delete_request(delete.build()?).build()
            }
        });
    }
    let mut requests = HashMap::from([(table.to_owned(), requests)]);
    for round in 0..MAX_ROUNDS {
        pause(round).await;
        let write = client.batch_write_item().set_request_items(Some(requests));
        requests = write.send().await?.unprocessed_items.unwrap_or_default();
        if requests.is_empty() {
            return Ok(());
        }
    }
    Err(left_undone())
}

async fn pause(round: u32) {
    if round > 0 {
        sleep(FIRST_PAUSE * 2_u32.pow(round - 1)).await;
    }
}

fn left_undone() -> Cause {
    Failure::new(
        Fault::Busy,
        "throttles requests: it leaves parts of batches undone",
    )
    .into()
}

/// Creates the table, paid by request, and waits until it can be used.
pub async fn create(client: Client, table: &str) -> Result<(), Cause> {
    let key = KeySchemaElement::builder()
        .attribute_name(KEY)
        .key_type(KeyType::Hash)
        .build()?;
    let attribute = AttributeDefinition::builder()
        .attribute_name(KEY)
        .attribute_type(ScalarAttributeType::S)
        .build()?;
    let created = client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .key_schema(key)
        .attribute_definitions(attribute)
        .send()
        .await;
    match created {
        Ok(_) => tracing::info!("key-value dynamodb {table}: the table was created"),
        // Another thread or process does so.
        Err(error) if error.code() == Some("ResourceInUseException") => {}
        Err(error) => return Err(error.into()),
    }
    loop {
        let answer = client.describe_table().table_name(table).send().await?;
        if answer.table.and_then(|table| table.table_status) == Some(TableStatus::Active) {
            return Ok(());
        }
        sleep(CREATION_INTERVAL).await;
    }
}
