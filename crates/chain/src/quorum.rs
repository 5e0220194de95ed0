//! One question to every endpoint at once; the answer that more than half of the *configured* ones give.
//!
//! An endpoint that is silent or malformed does not count; one that contradicts is named. With one endpoint
//! configured, that endpoint is believed: docs/threat-model.md says so.

use alloy_primitives::Bytes;
use client::http::{Http, Limits, public_endpoint};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::Value;
use url::Url;

use crate::error::ChainError;
use crate::revert::revert_reason;
use crate::rpc::{self, RpcError};

/// What more than half of `urls` answer, as far as `project` keeps it. Decided as soon as it is decided: who
/// is slow then is not waited for.
pub(crate) async fn ask(
    http: &Http,
    urls: &[Url],
    what: &'static str,
    method: &str,
    params: &Value,
    limits: Limits,
    project: fn(Value) -> Value,
) -> Result<Value, ChainError> {
    let mut answers: FuturesUnordered<_> = urls
        .iter()
        .map(|url| async move { rpc::call(http, url, method, params.clone(), limits).await.map(project) })
        .collect();
    let mut tally = Tally::new(what, urls);
    while let Some(answer) = answers.next().await {
        if let Some(decision) = tally.count(answer) {
            return decision;
        }
    }
    Err(tally.undecided())
}

/// The answers so far.
struct Tally<'a> {
    what: &'static str,
    urls: &'a [Url],
    /// Equal answers and how many gave them.
    groups: Vec<(Result<Value, Bytes>, usize)>,
    first_failure: Option<RpcError>,
}

impl<'a> Tally<'a> {
    fn new(what: &'static str, urls: &'a [Url]) -> Self {
        Self { what, urls, groups: Vec::new(), first_failure: None }
    }

    /// Steps: 1. a refusal (revert) is an answer like any other, 2. group equal answers, 3. one group must hold
    /// more than half of the configured endpoints.
    fn count(&mut self, answer: Result<Value, RpcError>) -> Option<Result<Value, ChainError>> {
        let answer = match answer {
            Ok(value) => Ok(value),
            Err(RpcError::Refused { data: Some(data), .. }) => Err(data),
            Err(error) => {
                self.first_failure.get_or_insert(error);
                return None;
            }
        };
        let same = self.groups.iter().position(|(given, _)| *given == answer).unwrap_or_else(|| {
            self.groups.push((answer, 0));
            self.groups.len() - 1
        });
        let (answer, count) = self.groups.get_mut(same)?;
        *count += 1;
        (*count * 2 > self.urls.len())
            .then(|| answer.clone().map_err(|data| ChainError::Reverted { reason: revert_reason(&data) }))
    }

    fn undecided(self) -> ChainError {
        let (what, configured) = (self.what, self.urls.len());
        if self.groups.len() > 1 {
            let endpoints = self.urls.iter().map(public_endpoint).collect::<Vec<_>>().join(", ");
            return ChainError::Disagree { what, endpoints };
        }
        let answered = self.groups.iter().map(|(_, count)| count).sum();
        ChainError::Unreachable { what, answered, configured, source: self.first_failure }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn urls(count: usize) -> Vec<Url> {
        (0..count).map(|index| format!("http://127.0.0.1:{}/", 1000 + index).parse().unwrap()).collect()
    }

    fn silent() -> Result<Value, RpcError> {
        Err(RpcError::Malformed { url: String::new(), method: String::new(), reason: "nothing".into() })
    }

    fn check(answers: Vec<Result<Value, RpcError>>) -> Result<Value, ChainError> {
        let urls = urls(answers.len());
        let mut tally = Tally::new("a test", &urls);
        let decided = answers.into_iter().find_map(|answer| tally.count(answer));
        decided.unwrap_or_else(|| Err(tally.undecided()))
    }

    #[test]
    fn more_than_half_of_the_configured_endpoints_decide() {
        assert_eq!(check(vec![Ok(json!(1))]).unwrap(), json!(1));
        assert_eq!(check(vec![Ok(json!(1)), Ok(json!(1)), Ok(json!(2))]).unwrap(), json!(1));
        assert_eq!(check(vec![Ok(json!(1)), silent(), Ok(json!(1))]).unwrap(), json!(1));
    }

    #[test]
    fn an_answer_is_the_same_in_any_order_of_its_fields() {
        let other = |text: &str| Ok(serde_json::from_str(text).unwrap());
        let (one, two) = (other(r#"[{"a": 1, "b": 2}]"#), other(r#"[{"b": 2, "a": 1}]"#));
        assert_eq!(check(vec![one, two]).unwrap(), json!([{"a": 1, "b": 2}]));
        let (one, two) = (other("[1, 2]"), other("[2, 1]"));
        assert!(matches!(check(vec![one, two]), Err(ChainError::Disagree { .. })));
    }

    #[test]
    fn a_key_in_an_endpoints_path_is_not_told() {
        let url = |text: &str| text.parse::<Url>().expect("a URL");
        let endpoints = [url("https://one.example/v2/secret"), url("https://two.example/?key=secret")];
        let shown: Vec<String> = endpoints.iter().map(public_endpoint).collect();
        assert_eq!(shown, ["https://one.example/…", "https://two.example/"]);
    }

    #[test]
    fn half_is_not_enough_and_silence_never_counts() {
        assert!(matches!(check(vec![Ok(json!(1)), Ok(json!(2))]), Err(ChainError::Disagree { .. })));
        assert!(matches!(
            check(vec![Ok(json!(1)), silent()]),
            Err(ChainError::Unreachable { answered: 1, .. })
        ));
        assert!(matches!(check(vec![Ok(json!(1)), silent(), silent()]), Err(ChainError::Unreachable { .. })));
        assert!(matches!(check(vec![silent()]), Err(ChainError::Unreachable { answered: 0, .. })));
        assert!(matches!(check(vec![]), Err(ChainError::Unreachable { .. })));
    }

    #[test]
    fn a_revert_that_most_give_is_the_contracts_answer() {
        let revert = || {
            let data = Some(alloy_primitives::Bytes::new());
            Err(RpcError::Refused {
                url: String::new(),
                method: String::new(),
                code: 3,
                message: String::new(),
                data,
            })
        };
        assert!(matches!(check(vec![revert()]), Err(ChainError::Reverted { .. })));
        assert!(matches!(check(vec![revert(), Ok(json!(1))]), Err(ChainError::Disagree { .. })));
    }
}
