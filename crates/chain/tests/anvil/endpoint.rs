//! An RPC endpoint on loopback in front of the real node, which answers as a test wants it to.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use client::http::{Http, Limits, Method, Request};
use serde_json::Value;
use url::Url;

/// What an endpoint does with a question.
pub(crate) enum Answer {
    /// This JSON-RPC answer.
    Json(Value),
    /// These bytes.
    Text(String),
    /// Nothing, for as long as anybody waits.
    Silence,
    /// A space now and then, for as long as anybody waits.
    Drip,
    /// Spaces without end: JSON may begin with as many as it likes.
    Flood,
}

/// Decides on the method, its parameters and the node's own answer.
pub(crate) type Bend = Arc<dyn Fn(&str, &Value, Value) -> Answer + Send + Sync>;

pub(crate) struct Endpoint {
    pub(crate) url: Url,
    serving: tokio::task::JoinHandle<()>,
}

#[derive(Clone)]
struct Behind {
    http: Http,
    node: Url,
    bend: Bend,
}

impl Endpoint {
    pub(crate) async fn start(
        http: &Http,
        node: &Url,
        bend: impl Fn(&str, &Value, Value) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let behind = Behind { http: http.clone(), node: node.clone(), bend: Arc::new(bend) };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let router = Router::new().fallback(answer).with_state(behind);
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, serving }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(behind): State<Behind>, body: Bytes) -> Response {
    let question: Value = serde_json::from_slice(&body).unwrap();
    let request = Request::new(Method::POST, behind.node).body("application/json", body);
    let limits = Limits { bytes: 32 << 20, time: Duration::from_secs(20) };
    let truth = behind.http.send(request, limits).await.unwrap();
    let truth: Value = serde_json::from_slice(&truth.body).unwrap();
    match (behind.bend)(question["method"].as_str().unwrap(), &question["params"], truth) {
        Answer::Json(value) => Response::new(value.to_string().into()),
        Answer::Text(text) => Response::new(text.into()),
        Answer::Silence => std::future::pending().await,
        Answer::Drip => {
            let drops = futures_util::stream::unfold((), |()| async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                Some((Ok::<_, Infallible>(Bytes::from_static(b" ")), ()))
            });
            Response::new(Body::from_stream(drops))
        }
        Answer::Flood => {
            let spaces = Bytes::from(vec![b' '; 1 << 16]);
            let endless = futures_util::stream::repeat_with(move || Ok::<_, Infallible>(spaces.clone()));
            Response::new(Body::from_stream(endless))
        }
    }
}
