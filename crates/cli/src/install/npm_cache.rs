//! npm's cache without npm: cacache, version 5 of its index and 2 of its content. What it holds is only ever read to
//! fetch less. What was checked before npm asks for it is put there, where npm looks before it asks: that saves it a
//! request. Content lies there by its hash, and npm hashes what it takes; without an entry of the index, which says of
//! an answer what it was, `npm cache verify` clears it away.

use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use trust::Integrity;
use trust::digest::sha256;
use url::Url;

use super::project::read_bounded;

/// Entries of one bucket: those of addresses whose hash is the same, and older ones of the same address.
const MAX_BUCKET_BYTES: u64 = 4 * 1024 * 1024;

/// What is known of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It is not there, or cannot be asked about again.
    No,
    /// npm will not ask again yet.
    Fresh,
    /// npm will ask whether it is still the same, with this entity tag.
    Stale {
        /// The tag.
        etag: String,
    },
}

/// One line of a bucket.
#[derive(Debug, Deserialize)]
struct Entry {
    key: String,
    integrity: Option<String>,
    metadata: Option<Metadata>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    /// Milliseconds.
    time: Option<u64>,
    #[serde(default)]
    res_headers: Value,
}

/// Whether it holds these bytes: it keeps content by its hash.
pub(crate) fn holds(cache: &Path, integrity: &Integrity) -> bool {
    content(cache, integrity).is_file()
}

/// Puts bytes with this hash there, whole or not at all.
pub(crate) fn put(cache: &Path, integrity: &Integrity, bytes: &[u8]) -> std::io::Result<()> {
    let path = content(cache, integrity);
    // Where npm itself writes what is not whole yet.
    let unfinished = cache.join("_cacache/tmp");
    let as_npm = std::fs::Permissions::from_mode(0o666);
    let begin = || tempfile::Builder::new().permissions(as_npm.clone()).tempfile_in(&unfinished);
    let mut file = match begin() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            std::fs::create_dir_all(&unfinished)?;
            begin()?
        }
        begun => begun?,
    };
    file.write_all(bytes)?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn content(cache: &Path, integrity: &Integrity) -> PathBuf {
    cache.join("_cacache/content-v2/sha512").join(place_of(&hex::encode(integrity.as_bytes())))
}

/// What it keeps of the answer to `url`; `now` in Unix seconds.
pub(crate) fn kept(cache: &Path, url: &Url, now: u64) -> Kept {
    let key = format!("make-fetch-happen:request-cache:{url}");
    let bucket = cache.join("_cacache/index-v5").join(place_of(&hex::encode(sha256(&key))));
    let Ok(Some(bytes)) = read_bounded(&bucket, MAX_BUCKET_BYTES) else { return Kept::No };
    let text = String::from_utf8_lossy(&bytes);
    let mut entries = text.lines().filter_map(|line| {
        let (_, json) = line.split_once('\t')?;
        serde_json::from_str::<Entry>(json).ok().filter(|entry| entry.key == key)
    });
    // The last one counts; one without content says that there is none any more.
    let Some(Metadata { time, res_headers }) =
        entries.next_back().filter(|entry| entry.integrity.is_some()).and_then(|entry| entry.metadata)
    else {
        return Kept::No;
    };
    let header = |name: &str| res_headers.get(name).and_then(Value::as_str);
    let age = now.saturating_sub(time.unwrap_or(0) / 1000);
    if header("cache-control").and_then(max_age).is_some_and(|max_age| age < max_age) {
        return Kept::Fresh;
    }
    header("etag").map_or(Kept::No, |etag| Kept::Stale { etag: etag.to_owned() })
}

/// `max-age` of a Cache-Control header (RFC 9111, section 5.2.2.1).
fn max_age(header: &str) -> Option<u64> {
    header.split(',').find_map(|part| part.trim().strip_prefix("max-age=")?.parse().ok())
}

/// `ab/cd/ef…`.
fn place_of(digest: &str) -> PathBuf {
    let (first, rest) = digest.split_at(2);
    let (second, rest) = rest.split_at(2);
    [first, second, rest].iter().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_put_there_lies_under_its_hash_and_nothing_else_is_left() {
        let cache = tempfile::tempdir().unwrap();
        let integrity = Integrity::of(b"bytes");
        assert!(!holds(cache.path(), &integrity));
        // Once more, as when npm fetched it in the meantime.
        for _ in 0..2 {
            put(cache.path(), &integrity, b"bytes").unwrap();
            assert!(holds(cache.path(), &integrity));
        }
        let digest = hex::encode(integrity.as_bytes());
        let place = format!("_cacache/content-v2/sha512/{}/{}/{}", &digest[..2], &digest[2..4], &digest[4..]);
        assert_eq!(std::fs::read(cache.path().join(place)).unwrap(), b"bytes");
        assert_eq!(std::fs::read_dir(cache.path().join("_cacache/tmp")).unwrap().count(), 0);
        let file = cache.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(put(&file, &integrity, b"bytes").is_err(), "no folder");
    }

    fn check(lines: &[Value], expected: &Kept) {
        let holder = tempfile::tempdir().unwrap();
        let url: Url = "https://registry.example/left-pad".parse().unwrap();
        // SHA-256 of "make-fetch-happen:request-cache:https://registry.example/left-pad".
        let bucket = holder
            .path()
            .join("_cacache/index-v5")
            .join(place_of(&hex::encode(sha256(format!("make-fetch-happen:request-cache:{url}")))));
        std::fs::create_dir_all(bucket.parent().unwrap()).unwrap();
        let text: String = lines.iter().map(|line| format!("\nhash\t{line}")).collect();
        std::fs::write(bucket, text).unwrap();
        assert_eq!(kept(holder.path(), &url, 2_000), *expected, "{lines:?}");
    }

    fn entry(headers: Value) -> Value {
        json!({
            "key": "make-fetch-happen:request-cache:https://registry.example/left-pad", "integrity": "sha512-x",
            "time": 1_000_000, "size": 3, "metadata": {"time": 1_000_000, "resHeaders": headers},
        })
    }

    #[test]
    fn the_last_entry_says_whether_npm_will_ask_and_how() {
        let stale = |etag: &str| Kept::Stale { etag: etag.into() };
        check(&[entry(json!({"etag": "\"a\""}))], &stale("\"a\""));
        check(&[entry(json!({"etag": "\"a\""})), entry(json!({"etag": "\"b\""}))], &stale("\"b\""));
        check(&[entry(json!({"cache-control": "public, max-age=1001", "etag": "\"a\""}))], &Kept::Fresh);
        check(&[entry(json!({"cache-control": "public, max-age=1000", "etag": "\"a\""}))], &stale("\"a\""));
        check(&[entry(json!({}))], &Kept::No);
        let mut gone = entry(json!({"etag": "\"a\""}));
        gone["integrity"] = Value::Null;
        check(&[entry(json!({"etag": "\"a\""})), gone], &Kept::No);
        let mut other = entry(json!({"etag": "\"a\""}));
        other["key"] = json!("make-fetch-happen:request-cache:https://registry.example/right-pad");
        check(&[other], &Kept::No);
        assert_eq!(
            kept(Path::new("/nonexistent"), &"https://registry.example/".parse().unwrap(), 0),
            Kept::No
        );
    }
}
