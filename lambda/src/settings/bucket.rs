//! Which bucket the jobs work with.

use super::environment::Environment;
use anyhow::bail;

const REGION: &str = "AWS_REGION";
const ENDPOINTS: [&str; 2] = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];

/// The bucket that people are exported to and imported from.
pub struct BucketSettings {
    pub name: String,
    /// What keys begin with.
    pub prefix: String,
    pub region: String,
    /// In place of that of the region.
    pub endpoint: Option<String>,
    /// The role that is assumed for it, and what its owner wants to see for that.
    pub role: Option<String>,
    pub external_id: Option<String>,
}

impl BucketSettings {
    /// Reads the environment; `None` if it names no bucket.
    ///
    /// # Errors
    /// If a setting is wrong.
    pub fn read(environment: &mut Environment) -> anyhow::Result<Option<Self>> {
        const BUCKET: &str = "BIRTHDAY_EXPORT_BUCKET";
        const PREFIX: &str = "BIRTHDAY_EXPORT_PREFIX";
        const BUCKET_REGION: &str = "BIRTHDAY_EXPORT_REGION";
        const ROLE: &str = "BIRTHDAY_EXPORT_ROLE";
        const EXTERNAL_ID: &str = "BIRTHDAY_EXPORT_EXTERNAL_ID";
        let Some(name) = environment.take(BUCKET) else {
            return Ok(None);
        };
        if !(3..=63).contains(&name.len()) || !name.bytes().all(is_of_bucket) {
            bail!("{BUCKET}: expected the name of a bucket");
        }
        let prefix = environment.take(PREFIX).unwrap_or_default();
        if prefix.starts_with('/') || !is_key(&prefix) {
            bail!("{PREFIX}: expected up to {MAX_KEY_BYTES} letters, digits, -, _, . and /");
        }
        let of_bucket = environment.take(BUCKET_REGION);
        let region = of_bucket.or_else(|| environment.get(REGION).map(str::to_owned));
        let Some(region) = region.filter(|region| is_region(region)) else {
            bail!("{BUCKET_REGION}, or {REGION}: expected a region such as eu-central-1");
        };
        let role = environment.take(ROLE);
        if role.as_ref().is_some_and(|role| !role.starts_with("arn:")) {
            bail!("{ROLE}: expected an ARN such as arn:aws:iam::123456789012:role/NAME");
        }
        let external_id = environment.take(EXTERNAL_ID);
        if external_id.is_some() && role.is_none() {
            bail!("{EXTERNAL_ID} has no effect without {ROLE}");
        }
        let endpoint = ENDPOINTS.iter().find_map(|name| environment.get(name));
        let endpoint = endpoint.map(str::to_owned);
        Ok(Some(Self {
            name,
            prefix,
            region,
            endpoint,
            role,
            external_id,
        }))
    }
}

/// The longest key of an object, with room for what is added to a prefix.
const MAX_KEY_BYTES: usize = 900;

/// Whether `text` is a key, or the beginning of one, that is the same in a URI.
pub fn is_key(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    text.len() <= MAX_KEY_BYTES && text.bytes().all(is_plain)
}

fn is_of_bucket(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte)
}

fn is_region(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(is_plain)
}
