//! An external signer over JSON-RPC: `eth_accounts`, `eth_signTypedData_v4`, `eth_sendTransaction`.
//! A development node, clef and Frame speak it. The signer shows and asks; this module only carries.

use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256};
use async_trait::async_trait;
use chain::calls::Call;
use chain::{RpcError, revert_reason, rpc_call};
use client::http::{Http, Limits, public_endpoint};
use serde_json::{Value, json};
use trust::message::SigningRequest;
use trust::signature::recover;
use url::Url;

use crate::{Wallet, WalletError};

/// A signer answers questions about itself at once.
const QUESTION: Limits = Limits { bytes: 1 << 20, time: Duration::from_secs(5) };

/// A person reads before confirming.
const CONFIRMATION: Limits = Limits { bytes: 1 << 20, time: Duration::from_secs(120) };

/// The order of secp256k1.
const ORDER: U256 =
    alloy_primitives::uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);

/// JSON-RPC codes for "the person said no": EIP-1193, and WalletConnect's.
const REJECTED: [i64; 2] = [4001, 5000];

/// Gas on top of the estimate, in percent: state may change between estimate and inclusion.
const GAS_MARGIN: u64 = 20;

/// How often a transaction is handed over that others of its account overtake, and the pause in between.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(100);

/// What nodes say of a transaction whose number is taken, by one in a block or by one that waits: geth's words, which
/// others have as well.
const OVERTAKEN: [&str; 2] = ["nonce too low", "replacement transaction underpriced"];

/// One account of an external signer.
#[derive(Debug, Clone)]
pub struct RpcWallet {
    http: Http,
    url: Url,
    address: Address,
}

impl RpcWallet {
    /// The account `wanted` of the signer at `url`, or its first one.
    pub async fn connect(http: Http, url: Url, wanted: Option<Address>) -> Result<Self, WalletError> {
        let answer = rpc_call(&http, &url, "eth_accounts", json!([]), QUESTION).await.map_err(refusal)?;
        let accounts: Vec<Address> = read("eth_accounts", answer)?;
        let address = match wanted {
            Some(wanted) => accounts.iter().find(|account| **account == wanted),
            None => accounts.first(),
        };
        let Some(address) = address.copied() else {
            let offered = match accounts.as_slice() {
                [] => "no account (is it locked?)".to_owned(),
                some => some.iter().take(10).map(ToString::to_string).collect::<Vec<_>>().join(", "),
            };
            let expected = wanted.map_or_else(|| "at least one".to_owned(), |wanted| wanted.to_string());
            return Err(WalletError::NoAccount { url: public_endpoint(&url), offered, expected });
        };
        Ok(Self { http, url, address })
    }

    /// The chain the signer is on.
    pub async fn chain_id(&self) -> Result<u64, WalletError> {
        let answer = self.ask("eth_chainId", json!([]), QUESTION).await?;
        let id: U256 = read("eth_chainId", answer)?;
        u64::try_from(id).map_err(|_| malformed("eth_chainId", "a number beyond 64 bits"))
    }

    /// Where the signer is.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    async fn ask(&self, method: &'static str, params: Value, limits: Limits) -> Result<Value, WalletError> {
        rpc_call(&self.http, &self.url, method, params, limits).await.map_err(refusal)
    }

    /// Steps: 1. the wallet is on the right chain, 2. it would not revert, 3. send.
    async fn send(&self, chain_id: u64, mut transaction: Value) -> Result<B256, WalletError> {
        let found = self.chain_id().await?;
        if found != chain_id {
            return Err(WalletError::WrongChain { found, expected: chain_id });
        }
        let estimate = self.ask("eth_estimateGas", json!([transaction]), QUESTION).await?;
        let gas: U256 = read("eth_estimateGas", estimate)?;
        let gas = gas.saturating_mul(U256::from(100 + GAS_MARGIN)) / U256::from(100);
        if let Value::Object(fields) = &mut transaction {
            fields.insert("gas".into(), json!(gas));
        }
        let mut attempts = ATTEMPTS;
        loop {
            attempts -= 1;
            match self.ask("eth_sendTransaction", json!([transaction]), CONFIRMATION).await {
                Ok(answer) => return read("eth_sendTransaction", answer),
                Err(error) if attempts > 0 && is_overtaken(&error) => tokio::time::sleep(PAUSE).await,
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether another transaction of this account got the number first. The signer chooses it, so nothing was sent, and the
/// next one is another.
fn is_overtaken(error: &WalletError) -> bool {
    match error {
        WalletError::Rpc(RpcError::Refused { message, .. }) => {
            OVERTAKEN.iter().any(|words| message.contains(words))
        }
        _ => false,
    }
}

#[async_trait]
impl Wallet for RpcWallet {
    fn address(&self) -> Address {
        self.address
    }

    fn describe(&self) -> String {
        format!("external signer at {}", public_endpoint(&self.url))
    }

    async fn sign(&self, request: &SigningRequest) -> Result<Bytes, WalletError> {
        let params = json!([self.address, request.typed_data]);
        let answer = self.ask("eth_signTypedData_v4", params, CONFIRMATION).await?;
        let signature = normalised(read("eth_signTypedData_v4", answer)?)?;
        let found = recover(request.digest, &signature).map_err(WalletError::Signature)?;
        if found != self.address {
            return Err(WalletError::OtherSigner { found, expected: self.address });
        }
        Ok(signature)
    }

    async fn send_transaction(&self, chain_id: u64, call: &Call) -> Result<B256, WalletError> {
        self.send(chain_id, json!({ "from": self.address, "to": call.to, "data": call.data })).await
    }

    async fn create_contract(&self, chain_id: u64, init_code: &Bytes) -> Result<B256, WalletError> {
        self.send(chain_id, json!({ "from": self.address, "data": init_code })).await
    }
}

/// 65 bytes with low s and v 27 or 28; some signers count v from 0, and some leave s high.
fn normalised(signature: Bytes) -> Result<Bytes, WalletError> {
    let Some((words, [v])) = signature.split_first_chunk::<64>() else {
        return Err(malformed("eth_signTypedData_v4", &format!("{} bytes, expected 65", signature.len())));
    };
    let (r, s) = words.split_at(32);
    let mut s = U256::from_be_slice(s);
    let mut v = if *v < 27 { v.saturating_add(27) } else { *v };
    if s > ORDER >> 1 && s < ORDER {
        s = ORDER - s;
        v = if v == 27 { 28 } else { 27 };
    }
    Ok([r, &s.to_be_bytes::<32>(), &[v]].concat().into())
}

/// What a refusal means for the person.
fn refusal(error: RpcError) -> WalletError {
    match error {
        RpcError::Refused { code, .. } if REJECTED.contains(&code) => WalletError::Rejected,
        RpcError::Refused { data: Some(data), .. } => WalletError::Reverted { reason: revert_reason(&data) },
        RpcError::Http { source: client::http::HttpError::TimedOut { after, .. }, .. }
            if after == CONFIRMATION.time =>
        {
            WalletError::NotConfirmed { seconds: after.as_secs() }
        }
        error => WalletError::Rpc(error),
    }
}

fn read<T: serde::de::DeserializeOwned>(method: &'static str, value: Value) -> Result<T, WalletError> {
    serde_json::from_value(value).map_err(|error| malformed(method, &error.to_string()))
}

fn malformed(method: &'static str, reason: &str) -> WalletError {
    WalletError::Malformed { method, reason: trust::text::printable(reason, 200) }
}
