//! Where people are: Postgres, DynamoDB or Redis, and where the component may connect to.

use super::environment::Environment;
use anyhow::{Context, anyhow, bail};
use http_component_runtime::postgres::{self, Sharing, Statements};
use http_component_runtime::{Egress, KeyValue, Postgres, Rule, Variables};
use std::time::Duration;

/// The variables that name servers for the component to connect to.
const DATABASE_URL: &str = "database_url";
const POPULATE_URL: &str = "populate_url";

impl Environment {
    /// The key-value store, or `None` where Postgres has the data.
    ///
    /// # Errors
    /// If the data would be in the instance, which Lambda removes without notice, or nowhere.
    pub fn key_value(
        &mut self,
        variables: &Variables,
        timeout: Duration,
    ) -> anyhow::Result<Option<KeyValue>> {
        const NAME: &str = "BIRTHDAY_KEY_VALUE";
        let Some(address) = self.take(NAME) else {
            if variables.value(DATABASE_URL).is_some() {
                return Ok(None);
            }
            bail!(
                "neither SPIN_VARIABLE_DATABASE_URL nor {NAME} is set: people need a store outside of the function"
            );
        };
        // The address is not shown, because it may have a password.
        let store = match address.split_once(':') {
            Some(("dynamodb", _)) => KeyValue::dynamodb(&address, timeout),
            Some(("redis" | "rediss" | "valkey" | "valkeys", _)) => {
                KeyValue::redis(&address, timeout)
            }
            _ if address == "memory" || address.starts_with("sqlite:") => {
                bail!("{NAME}: memory and files of an instance are lost when Lambda removes it")
            }
            _ => bail!("{NAME}: expected dynamodb:TABLE, redis://HOST or rediss://HOST"),
        };
        Ok(Some(store.context(NAME)?))
    }

    /// Where the component may connect to: what its settings name, and what is given.
    pub fn egress(&mut self, variables: &Variables) -> anyhow::Result<Egress> {
        const NAME: &str = "BIRTHDAY_ALLOW_OUTBOUND";
        let given = self.take(NAME).unwrap_or_default();
        let given = given.split(',').filter(|rule| !rule.is_empty());
        let rules: Result<Vec<Rule>, _> = given.map(str::parse).collect();
        let mut rules = rules.map_err(|error| anyhow!("{NAME}: {error}"))?;
        if let Some(address) = variables.value(DATABASE_URL) {
            rules.extend(postgres::rules(address));
        }
        if let Some(url) = variables.value(POPULATE_URL) {
            rules.extend(Rule::trusting_server_of(url));
        }
        Ok(Egress::new(rules))
    }

    pub fn postgres(
        &mut self,
        application_name: &str,
        answer_memory: usize,
    ) -> anyhow::Result<Postgres> {
        const CA: &str = "BIRTHDAY_POSTGRES_CA";
        let tls = match self.take(CA) {
            Some(path) => postgres::Tls::with_authorities(path.as_ref()).context(CA)?,
            None => postgres::Tls::default(),
        };
        let sharing = match self.take("BIRTHDAY_POSTGRES_SHARING").as_deref() {
            None | Some("pipelined") => Sharing::Pipelined,
            Some("exclusive") => Sharing::Exclusive,
            Some(_) => bail!("BIRTHDAY_POSTGRES_SHARING: expected pipelined or exclusive"),
        };
        let statements = match self.take("BIRTHDAY_POSTGRES_STATEMENTS").as_deref() {
            None | Some("prepared") => Statements::Prepared,
            Some("unnamed") => Statements::Unnamed,
            Some(_) => bail!("BIRTHDAY_POSTGRES_STATEMENTS: expected prepared or unnamed"),
        };
        Ok(Postgres::new(postgres::Options {
            tls,
            sharing,
            statements,
            application_name: application_name.to_owned(),
            answer_memory,
            ..postgres::Options::default()
        }))
    }
}
