//! Which headers go on, in either direction. Adds nothing that names this program.

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Headers of one connection only (RFC 9110, section 7.6.1), and of the way to us. All that begin with
/// `proxy-` are of that kind too.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::HOST,
    header::CONTENT_LENGTH,
];

/// What must not be asked of a registry: parts of a body, or leave to send one.
const NOT_ASKED: [HeaderName; 4] = [header::RANGE, header::IF_RANGE, header::EXPECT, header::ACCEPT_ENCODING];

/// What was said about the body as it came, and what would lead past us.
const NOT_ANSWERED: [HeaderName; 4] =
    [header::CONTENT_ENCODING, header::CONTENT_RANGE, header::ACCEPT_RANGES, header::ALT_SVC];

/// With one of these an answer may be "not modified".
const CONDITIONS: [HeaderName; 4] =
    [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::IF_MATCH, header::IF_UNMODIFIED_SINCE];

/// The request's headers for the registry: of the whole, in an encoding we read.
pub(crate) fn of_request(from: &HeaderMap) -> HeaderMap {
    let mut headers = without_hop_by_hop(from);
    for name in NOT_ASKED {
        headers.remove(name);
    }
    let encoding = if takes_gzip(from) { "gzip" } else { "identity" };
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(encoding));
    headers
}

/// The answer's headers for the package manager: of the body as it now is.
pub(crate) fn of_answer(from: &HeaderMap) -> HeaderMap {
    let mut headers = without_hop_by_hop(from);
    for name in NOT_ANSWERED {
        headers.remove(name);
    }
    headers
}

/// Whether an answer may be "not modified".
pub(crate) fn is_conditional(headers: &HeaderMap) -> bool {
    CONDITIONS.iter().any(|name| headers.contains_key(name))
}

/// So that the answer is the whole body.
pub(crate) fn remove_conditions(headers: &mut HeaderMap) {
    for name in CONDITIONS {
        headers.remove(name);
    }
}

/// Whether an answer may be packed so.
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| {
        let name = one.split(';').next().unwrap_or_default().trim();
        name.eq_ignore_ascii_case("gzip") || name == "*"
    })
}

fn without_hop_by_hop(from: &HeaderMap) -> HeaderMap {
    // `Connection` may name more of them.
    let named = || {
        let values = from.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).map(str::trim)
    };
    let mut headers = HeaderMap::with_capacity(from.len());
    for (name, value) in from {
        let is_hop = HOP_BY_HOP.contains(name)
            || name.as_str().starts_with("proxy-")
            || named().any(|hop| name.as_str().eq_ignore_ascii_case(hop));
        if !is_hop {
            headers.append(name.clone(), value.clone());
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn what_belongs_to_one_connection_stays_there() {
        let headers = of_request(&map(&[
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("proxy-authorization", "Basic secret"),
            ("proxy-connection", "keep-alive"),
            ("host", "registry.example"),
            ("range", "bytes=0-1"),
            ("authorization", "Bearer token"),
            ("accept", "a"),
            ("accept", "b"),
        ]));
        let expected = map(&[
            ("authorization", "Bearer token"),
            ("accept", "a"),
            ("accept", "b"),
            ("accept-encoding", "identity"),
        ]);
        assert_eq!(headers, expected);
    }

    #[test]
    fn gzip_is_asked_for_when_the_package_manager_takes_it() {
        let asked = |value| of_request(&map(&[("accept-encoding", value)]))[header::ACCEPT_ENCODING].clone();
        assert_eq!(asked("br, gzip;q=0.5"), "gzip");
        assert_eq!(asked("*"), "gzip");
        assert_eq!(asked("br"), "identity");
    }

    #[test]
    fn an_answer_says_nothing_of_how_it_came() {
        let headers = of_answer(&map(&[
            ("content-encoding", "gzip"),
            ("content-length", "3"),
            ("transfer-encoding", "chunked"),
            ("alt-svc", "h3=\":443\""),
            ("etag", "\"x\""),
        ]));
        assert_eq!(headers, map(&[("etag", "\"x\"")]));
    }
}
