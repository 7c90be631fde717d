//! URLs of HTTP, as far as the service sends requests itself.

/// A URL of HTTP, in the parts that a request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// It is one of `https`.
    pub is_encrypted: bool,
    /// The host, and the port where it is not the usual one.
    pub authority: String,
    /// It begins with a slash.
    pub path_with_query: String,
}

impl Url {
    /// # Errors
    /// What is wrong with `text`. It does not quote it, because it may contain a secret.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = text.split_once("://").ok_or("is not a URL")?;
        let is_encrypted = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err("is not of the form https://host/path"),
        };
        // The part behind # is not sent.
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("has a user or a password: use populate_key");
        }
        if !has_valid_port(authority) {
            return Err("has a port that is not a number from 1 to 65535");
        }
        if authority.is_empty() || authority.starts_with(':') {
            return Err("names no host");
        }
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("has spaces or letters that no URL has: percent-encode them");
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self {
            is_encrypted,
            authority: authority.to_owned(),
            path_with_query: format!("{slash}{path}"),
        })
    }

    /// Where a redirection from here leads: `location` is a URL, or a path on the same server. `None` if it is neither, or
    /// leads from what is encrypted to what is not.
    pub fn follow(&self, location: &str) -> Option<Self> {
        let next = match location.starts_with('/') && !location.starts_with("//") {
            true => Self::parse(&format!("{}{location}", self.origin())),
            false => Self::parse(location),
        };
        let next = next.ok()?;
        (next.is_encrypted || !self.is_encrypted).then_some(next)
    }

    /// Whether it is on the same server as `other`.
    pub fn has_origin_of(&self, other: &Self) -> bool {
        self.origin().eq_ignore_ascii_case(&other.origin())
    }

    fn origin(&self) -> String {
        let scheme = if self.is_encrypted { "https" } else { "http" };
        format!("{scheme}://{}", self.authority)
    }
}

/// `host`, `host:port` or `[IPv6 address]:port`.
pub fn has_valid_port(host: &str) -> bool {
    let after_address = host.rsplit_once(']').map_or(host, |(_, rest)| rest);
    match after_address.split_once(':') {
        None => true,
        Some((_, port)) => port.parse::<u16>().is_ok_and(|port| port != 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirection_leads_to_a_path_or_a_url() {
        let url = Url::parse("https://h:1/a").unwrap();
        let follow = |location| {
            url.follow(location)
                .map(|url| (url.origin(), url.path_with_query))
        };
        let to = |origin: &str, path: &str| Some((origin.to_owned(), path.to_owned()));
        assert_eq!(follow("/b?c"), to("https://h:1", "/b?c"));
        assert_eq!(follow("https://x/b"), to("https://x", "/b"));
        for refused in [
            "http://h:1/b",
            "//x/b",
            "b",
            "",
            "file:///etc/passwd",
            "https://u@x/",
        ] {
            assert_eq!(follow(refused), None, "{refused}");
        }
        let plain = Url::parse("http://h").unwrap();
        assert!(plain.follow("https://h").is_some() && plain.follow("http://x").is_some());
        assert!(url.has_origin_of(&Url::parse("https://H:1/b").unwrap()));
        assert!(!url.has_origin_of(&Url::parse("https://h/a").unwrap()));
    }
}
