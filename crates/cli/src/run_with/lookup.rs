//! Asks the chain about names and versions as they come up during an install, many in one call, and each
//! only once. All answers are of the one block that the run was begun at. Judges nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use chain::{Chain, ChainError, records_time};
use tokio::sync::{OnceCell, mpsc, oneshot};
use trust::record::{PackageRecord, ReleaseRecord};
use trust::{PackageName, Version};

use crate::freshness::Answers;
use crate::install::assess::chain_of;

/// How long questions are gathered before they are asked.
const GATHER: Duration = Duration::from_millis(4);

/// Questions in one call.
const BATCH: usize = 400;

type Answer<T> = oneshot::Sender<Result<T, String>>;
type Key = (PackageName, Version);

/// An answer, once it is there.
type Known<V> = Arc<OnceCell<Result<V, String>>>;

/// The chain at one block, or what was kept of it.
#[derive(Debug)]
pub(crate) struct Lookup {
    /// Where the answers come from.
    pub(crate) answers: Answers,
    packages: Batched<PackageName, PackageRecord>,
    releases: Batched<Key, ReleaseRecord>,
}

/// The first thing that went wrong: what an endpoint did not answer once is not asked again in the same run,
/// which could not end well any more.
type Failed = Arc<OnceLock<String>>;

impl Lookup {
    /// Reads `chain` as `answers` says; the work ends when this is dropped.
    pub(crate) fn new(chain: Arc<Chain>, answers: Answers) -> Self {
        let failed = Failed::default();
        let packages = {
            let (chain, answers, failed) = (Arc::clone(&chain), answers.clone(), Arc::clone(&failed));
            Batched::new(move |names: Vec<PackageName>| {
                let (chain, answers, failed) = (Arc::clone(&chain), answers.clone(), Arc::clone(&failed));
                async move {
                    match answers {
                        Answers::Offline(shelf) => Ok(names.iter().map(|name| shelf.package(name)).collect()),
                        Answers::Live(head) => {
                            in_time(names.len(), &failed, chain.packages(&head, &names)).await
                        }
                    }
                }
            })
        };
        let releases = {
            let answers = answers.clone();
            Batched::new(move |keys: Vec<Key>| {
                let (chain, answers, failed) = (Arc::clone(&chain), answers.clone(), Arc::clone(&failed));
                async move {
                    match answers {
                        Answers::Offline(shelf) => {
                            Ok(keys.iter().map(|(name, version)| shelf.release(name, version)).collect())
                        }
                        Answers::Live(head) => {
                            in_time(keys.len(), &failed, chain.releases(&head, &keys)).await
                        }
                    }
                }
            })
        };
        Self { answers, packages, releases }
    }

    /// What the chain says of a name.
    pub(crate) async fn package(&self, name: &PackageName) -> Result<PackageRecord, String> {
        self.packages.ask(name.clone()).await
    }

    /// What it says of a version.
    pub(crate) async fn release(
        &self,
        name: &PackageName,
        version: &Version,
    ) -> Result<ReleaseRecord, String> {
        self.releases.ask((name.clone(), version.clone())).await
    }
}

/// The answers to so many questions, within the time for them.
async fn in_time<V>(
    count: usize,
    failed: &OnceLock<String>,
    asking: impl Future<Output = Result<Vec<V>, ChainError>>,
) -> Result<Vec<Result<V, String>>, String> {
    if let Some(reason) = failed.get() {
        return Err(reason.clone());
    }
    let limit = records_time(count);
    let too_slow = ChainError::TooSlow { what: "records", limit };
    match tokio::time::timeout(limit, asking).await.unwrap_or(Err(too_slow)) {
        Ok(values) => Ok(values.into_iter().map(Ok).collect()),
        Err(error) => Err(failed.get_or_init(|| chain_of(&error)).clone()),
    }
}

/// Questions of one kind, gathered.
#[derive(Debug)]
struct Batched<K, V> {
    known: Mutex<HashMap<K, Known<V>>>,
    questions: mpsc::UnboundedSender<(K, Answer<V>)>,
}

impl<K, V> Batched<K, V>
where
    K: Clone + Eq + std::hash::Hash + Send + 'static,
    V: Clone + Send + 'static,
{
    fn new<F>(ask: impl Fn(Vec<K>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Vec<Result<V, String>>, String>> + Send + 'static,
    {
        let (questions, receiver) = mpsc::unbounded_channel();
        tokio::spawn(serve(receiver, ask));
        Self { known: Mutex::default(), questions }
    }

    async fn ask(&self, key: K) -> Result<V, String> {
        let cell = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.entry(key.clone()).or_default())
        };
        let answer = cell.get_or_init(|| async {
            let (sender, receiver) = oneshot::channel();
            let gone = || "the chain was not asked: the run is over".to_owned();
            self.questions.send((key, sender)).map_err(|_| gone())?;
            receiver.await.map_err(|_| gone())?
        });
        answer.await.clone()
    }
}

async fn serve<K, V, F>(mut questions: mpsc::UnboundedReceiver<(K, Answer<V>)>, ask: impl Fn(Vec<K>) -> F)
where
    K: Send + 'static,
    V: Clone + Send + 'static,
    F: Future<Output = Result<Vec<Result<V, String>>, String>> + Send + 'static,
{
    while let Some(first) = questions.recv().await {
        tokio::time::sleep(GATHER).await;
        let mut batch = vec![first];
        while batch.len() < BATCH {
            let Ok(next) = questions.try_recv() else { break };
            batch.push(next);
        }
        let (keys, senders): (Vec<K>, Vec<Answer<V>>) = batch.into_iter().unzip();
        let expected = keys.len();
        let call = ask(keys);
        // The next batch does not wait for this one.
        tokio::spawn(async move {
            let answers = match call.await {
                Ok(values) if values.len() == expected => values,
                Ok(values) => {
                    let reason = format!("the chain gave {} answers to {expected} questions", values.len());
                    vec![Err(reason); expected]
                }
                Err(reason) => vec![Err(reason); expected],
            };
            for (sender, answer) in senders.into_iter().zip(answers) {
                // Whoever asked may have gone.
                let _ = sender.send(answer);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn many_questions_are_one_call_and_the_same_question_is_asked_once() {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let batched = Batched::new(move |keys: Vec<u32>| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move { Ok(keys.into_iter().map(|key| Ok(key * 2)).collect()) }
        });
        let answers = futures_util::future::join_all((0..100).map(|key| batched.ask(key % 50))).await;
        assert!(answers.iter().enumerate().all(|(at, answer)| *answer == Ok((at as u32 % 50) * 2)));
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        assert_eq!(batched.ask(7).await, Ok(14));
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_chain_that_falls_silent_is_waited_for_once() {
        let failed = OnceLock::new();
        let silence = || std::future::pending::<Result<Vec<u32>, ChainError>>();
        let started = std::time::Instant::now();
        let first = in_time(1, &failed, silence()).await.unwrap_err();
        assert!(first.contains("reading records took more than 2s"), "{first}");
        assert!(started.elapsed() >= records_time(1));
        assert_eq!(in_time(1, &failed, silence()).await.unwrap_err(), first);
        assert!(started.elapsed() < records_time(1) * 2);
    }

    #[tokio::test]
    async fn too_few_answers_are_no_answers() {
        let batched = Batched::new(|_: Vec<u32>| async { Ok(Vec::<Result<u32, String>>::new()) });
        assert!(batched.ask(1).await.unwrap_err().contains("0 answers to 1"));
    }
}
