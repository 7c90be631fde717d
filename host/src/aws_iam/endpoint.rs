//! Which service and region a host is of, and what its token allows.

use http_component_runtime::postgres::Account;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::net::IpAddr;

/// What stays as it is in a query that is signed: the unreserved characters of RFC 3986.
pub const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The role of Aurora DSQL that may do everything; its tokens allow another action.
const ADMIN: &str = "admin";

/// Where a token is for.
#[derive(Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// What the signature calls the service.
    pub service: &'static str,
    pub region: String,
    /// The request that the token is: host, port and query, without `https://`.
    pub request: String,
}

impl Endpoint {
    /// The one of `account`, in the region that its host names, or else in `default_region`.
    ///
    /// # Errors
    /// If no region is known, or the host cannot be part of a request.
    pub fn of(account: &Account<'_>, default_region: Option<&str>) -> Result<Self, String> {
        let Account { host, port, user } = *account;
        if host.parse::<IpAddr>().is_ok() || !host.bytes().all(is_of_name) {
            return Err(format!("{host}: IAM tokens are for hosts with a name"));
        }
        // As AWS has it: it is part of what is signed.
        let host = &*host.trim_end_matches('.').to_ascii_lowercase();
        let named = NamedRegion::of(host);
        let region = match (&named, default_region) {
            (NamedRegion::Rds(region) | NamedRegion::Dsql(region), _) => region,
            (NamedRegion::None, Some(region)) => region,
            (NamedRegion::None, None) => {
                return Err(format!(
                    "{host}: its region is not known: use the endpoint's own name, or set AWS_REGION"
                ));
            }
        };
        let (service, request) = match named {
            // One cluster has one port, which is no part of its token.
            NamedRegion::Dsql(_) => {
                let action = if user == ADMIN {
                    "DbConnectAdmin"
                } else {
                    "DbConnect"
                };
                ("dsql", format!("{host}/?Action={action}"))
            }
            NamedRegion::Rds(_) | NamedRegion::None => {
                let user = utf8_percent_encode(user, RESERVED);
                let request = format!("{host}:{port}/?Action=connect&DBUser={user}");
                ("rds-db", request)
            }
        };
        Ok(Self {
            service,
            region: region.to_owned(),
            request,
        })
    }
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

/// The region in the name of a host.
enum NamedRegion<'a> {
    /// `….<region>.rds.amazonaws.com`, or `….rds.<region>.amazonaws.com.cn`.
    Rds(&'a str),
    /// `….dsql.<region>.on.aws`; with a private endpoint `….dsql-<…>.<region>.on.aws`.
    Dsql(&'a str),
    None,
}

impl<'a> NamedRegion<'a> {
    fn of(host: &'a str) -> Self {
        let labels: Vec<&str> = host.split('.').collect();
        match labels[..] {
            [_, .., region, "rds", "amazonaws", "com"] => Self::Rds(region),
            [_, .., "rds", region, "amazonaws", "com", "cn"] => Self::Rds(region),
            [_, .., service, region, "on", "aws"]
                if service == "dsql" || service.starts_with("dsql-") =>
            {
                Self::Dsql(region)
            }
            _ => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(host: &str, user: &str, default_region: Option<&str>) -> Result<Endpoint, String> {
        let port = 5432;
        Endpoint::of(&Account { host, port, user }, default_region)
    }

    #[track_caller]
    fn check(host: &str, user: &str, service: &str, region: &str, request: &str) {
        let endpoint = endpoint(host, user, Some("of-the-environment")).unwrap();
        assert_eq!(
            (endpoint.service, &*endpoint.region, &*endpoint.request),
            (service, region, request)
        );
    }

    #[test]
    fn the_name_of_a_host_has_its_service_and_region() {
        for (host, region) in [
            ("db.c9akciq32.eu-west-1.rds.amazonaws.com", "eu-west-1"),
            (
                "db.cluster-c9akciq32.us-gov-west-1.rds.amazonaws.com",
                "us-gov-west-1",
            ),
            (
                "p.proxy-c9akciq32.ap-southeast-2.rds.amazonaws.com",
                "ap-southeast-2",
            ),
            ("db.c9akciq32.rds.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            ("db.internal", "of-the-environment"),
            ("rds.amazonaws.com", "of-the-environment"),
        ] {
            let request = format!("{host}:5432/?Action=connect&DBUser=api");
            check(host, "api", "rds-db", region, &request);
        }
        for host in [
            "abc.dsql.us-east-1.on.aws",
            "abc.dsql-fnh4.us-east-1.on.aws",
        ] {
            let request = format!("{host}/?Action=DbConnect");
            check(host, "api", "dsql", "us-east-1", &request);
            let request = format!("{host}/?Action=DbConnectAdmin");
            check(host, "admin", "dsql", "us-east-1", &request);
        }
    }

    #[test]
    fn a_host_is_written_as_aws_has_it() {
        check(
            "DB.c9akciq32.eu-west-1.RDS.amazonaws.com.",
            "Api",
            "rds-db",
            "eu-west-1",
            "db.c9akciq32.eu-west-1.rds.amazonaws.com:5432/?Action=connect&DBUser=Api",
        );
    }

    #[test]
    fn a_user_is_encoded() {
        let request = "db:5432/?Action=connect&DBUser=a%20b%2B%26%3D%25%2F%C3%BC-._~";
        check(
            "db",
            "a b+&=%/ü-._~",
            "rds-db",
            "of-the-environment",
            request,
        );
    }

    #[test]
    fn what_has_no_token_is_told() {
        let error = endpoint("db.internal", "api", None).unwrap_err();
        assert!(error.contains("AWS_REGION"), "{error}");
        for host in ["::1", "127.0.0.1", "a/b", "a?b", "ä"] {
            let error = endpoint(host, "api", Some("eu-west-1")).unwrap_err();
            assert!(error.ends_with("with a name"), "{error}");
        }
    }
}
