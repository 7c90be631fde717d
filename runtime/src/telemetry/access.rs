//! The access line: what is logged of each request.

use super::line::{push, push_digits, push_number, push_time};
use std::time::Duration;

/// The target of access lines, for `RUST_LOG`.
pub(crate) const ACCESS: &str = "access";

/// What is logged of a request that has ended.
pub(crate) struct AccessLine<'a> {
    pub request_id: &'a str,
    pub trace_id: Option<&'a str>,
    pub method: &'static str,
    pub route: &'static str,
    pub status: u16,
    pub duration: Duration,
}

/// Written by hand, because it is done for every request (`docs/dependencies.md` has the figures). No value has a
/// character that JSON would escape.
impl AccessLine<'_> {
    /// Appends the line to `out`, for people to read.
    pub fn write_text(&self, out: &mut Vec<u8>) {
        push_time(out);
        push(
            out,
            &["  INFO ", ACCESS, ": ", self.method, " ", self.route, " "],
        );
        push_number(out, self.status);
        push(out, &[" "]);
        self.push_milliseconds(out);
        push(out, &["ms request_id=", self.request_id]);
        if let Some(trace_id) = self.trace_id {
            push(out, &[" trace_id=", trace_id]);
        }
        push(out, &["\n"]);
    }

    /// Appends the line to `out`, as a JSON object.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        push(out, &["{\"timestamp\":\""]);
        push_time(out);
        push(out, &["\",\"level\":\"INFO\",\"target\":\"", ACCESS]);
        push(out, &["\",\"request_id\":\"", self.request_id]);
        if let Some(trace_id) = self.trace_id {
            push(out, &["\",\"trace_id\":\"", trace_id]);
        }
        push(out, &["\",\"method\":\"", self.method]);
        push(out, &["\",\"route\":\"", self.route, "\",\"status\":"]);
        push_number(out, self.status);
        push(out, &[",\"duration_ms\":"]);
        self.push_milliseconds(out);
        push(out, &["}\n"]);
    }

    /// To the microsecond.
    fn push_milliseconds(&self, out: &mut Vec<u8>) {
        let microseconds = self.duration.as_micros();
        push_number(out, microseconds / 1000);
        push(out, &["."]);
        push_digits::<3>(out, (microseconds % 1000) as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCESS_LINE: AccessLine<'_> = AccessLine {
        request_id: "abc",
        trace_id: Some("def"),
        method: "GET",
        route: "/items/{id}",
        status: 200,
        duration: Duration::from_micros(12_034),
    };

    #[test]
    fn an_access_line_is_json() {
        let mut line = Vec::new();
        ACCESS_LINE.write_json(&mut line);
        assert!(line.ends_with(b"}\n"));
        let mut line: serde_json::Value = serde_json::from_slice(&line).unwrap();
        let timestamp = line["timestamp"].take();
        humantime::parse_rfc3339(timestamp.as_str().unwrap()).unwrap();
        let expected = serde_json::json!({
            "timestamp": null,
            "level": "INFO",
            "target": "access",
            "request_id": "abc",
            "trace_id": "def",
            "method": "GET",
            "route": "/items/{id}",
            "status": 200,
            "duration_ms": 12.034,
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn an_access_line_is_text() {
        let mut line = Vec::new();
        ACCESS_LINE.write_text(&mut line);
        let line = String::from_utf8(line).unwrap();
        let (time, rest) = line.split_once("  INFO ").unwrap();
        humantime::parse_rfc3339(time).unwrap();
        let expected = "access: GET /items/{id} 200 12.034ms request_id=abc trace_id=def\n";
        assert_eq!(rest, expected);
    }
}
