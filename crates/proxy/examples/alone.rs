//! A proxy whose gate takes both hashes of every tarball and releases it: what holding and hashing costs without any
//! judgement. For `bench/install.mjs --alone`.
//!
//! ```text
//! cargo run --release -p proxy --example alone -- https://registry.example/ [authorities.pem]
//! ```
//!
//! Says on one line where it is and which file has its authority, and ends when its input does.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use proxy::{Asked, Gate, Ruling, Settings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use trust::TarballHashes;

struct Hashing;

impl Gate for Hashing {
    async fn tarball(&self, _: &Asked, bytes: Bytes) -> Ruling {
        black_box(TarballHashes::of(&bytes));
        Ruling::Release
    }

    async fn document(&self, _: &Asked, _: Bytes) -> Ruling {
        Ruling::Release
    }
}

// As many threads as 3pm has for it.
#[tokio::main(worker_threads = 1)]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let registry = arguments.next().ok_or("expected the address of a registry")?.parse()?;
    let extra_roots = arguments.next().map(std::fs::read).transpose()?.unwrap_or_default();
    let settings = Settings { registries: vec![registry], extra_roots, ..Settings::default() };
    let running = proxy::start(settings, Arc::new(Hashing)).await?;
    let said = format!("{} {}\n", running.url(), running.ca_file().display());
    tokio::io::stdout().write_all(said.as_bytes()).await?;
    tokio::io::stdout().flush().await?;
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    running.stop().await?;
    Ok(())
}
