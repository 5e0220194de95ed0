//! What earlier runs saw in tarballs: per name and version the file lists, by the hash of the tarball. A
//! package that comes out of a cache is compared with these. Which of them a registry announced is kept as well: what
//! one registry gave is not what another means. Holds no verdict: those are made anew each time.
//!
//! One file that grows, `~/.3pm/lists`, readable by its owner only: for each version a line `name@version TAB JSON LF`,
//! of which the last one counts. A line that cannot be read is none, and half a line, which a run that was killed
//! leaves, is one of those: its tarball is fetched again.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};
use trust::{Integrity, PackageName, Version};
use url::Url;

use crate::install::unpacked::{FileOnDisk, Files};

/// The largest file; above it the older half goes. A package takes about one or two kB.
const MAX_BYTES: u64 = 64 << 20;

/// Tarballs of one version that are remembered: the genuine one, and a few that somebody else served.
const MAX_TARBALLS: usize = 4;

/// How long another run may write. It takes milliseconds; one that was stopped while it did is not waited for.
const LOCK_LIMIT: Duration = Duration::from_secs(1);

/// How often that is tried.
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// The file of lists, as it was when something of it was first read.
#[derive(Debug, Clone)]
pub(crate) struct Lists {
    path: PathBuf,
    index: Arc<OnceLock<Index>>,
    /// What was read before somebody asked.
    ahead: Arc<Mutex<HashMap<String, Listed>>>,
}

/// What a run saw.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    /// Whose tarball.
    pub(crate) name: PackageName,
    /// Which one's.
    pub(crate) version: &'a str,
    /// Which of those.
    pub(crate) integrity: Integrity,
    /// What it holds.
    pub(crate) files: &'a Files,
    /// The registry that announced it in this run.
    pub(crate) announced_by: Option<Url>,
}

/// Where the lines of a file are that count.
#[derive(Debug, Default)]
struct Index {
    file: Option<File>,
    lines: HashMap<String, Range<u64>>,
    length: u64,
    /// Whether its last line has an end.
    is_whole: bool,
}

/// What is known of a version.
#[derive(Debug)]
struct Listed {
    tarballs: Vec<(Integrity, Arc<Files>)>,
    announced: BTreeMap<String, String>,
}

/// The same as it is written.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    /// BLAKE3 of each file, by its path, by the hash of the tarball.
    blake3: BTreeMap<String, BTreeMap<String, StoredFile>>,
    /// The hash that a registry, by its address, announced last.
    #[serde(default)]
    announced: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum StoredFile {
    Plain(B256),
    Fixed(B256, B256),
}

impl Lists {
    /// That below 3pm's home.
    pub(crate) fn in_home(home: &Path) -> Self {
        Self { path: home.join("lists"), index: Arc::default(), ahead: Arc::default() }
    }

    /// Reads what will be asked for, on a thread of its own.
    pub(crate) fn read_ahead(&self, releases: Vec<(PackageName, Version)>) {
        let lists = self.clone();
        tokio::task::spawn_blocking(move || {
            for (name, version) in releases {
                let Some(key) = key(&name, &version.to_string()) else { continue };
                if let Some(stored) = lists.index().stored(&key) {
                    lists.lock().insert(key, stored.into());
                }
            }
        });
    }

    /// The known tarballs of a version.
    pub(crate) fn read(&self, name: &PackageName, version: &str) -> Vec<(Integrity, Arc<Files>)> {
        self.load(name, version).map(|listed| listed.tarballs).unwrap_or_default()
    }

    /// What `registry` announced of a version when an earlier run asked.
    pub(crate) fn announced(&self, name: &PackageName, version: &str, registry: &Url) -> Option<Integrity> {
        self.load(name, version)?.announced.get(&address(registry))?.parse().ok()
    }

    /// Remembers what is new of all this; a failure costs fetches some other day and nothing else.
    pub(crate) fn keep(&self, seen: &[Seen<'_>]) -> std::io::Result<()> {
        let news: Vec<&Seen<'_>> = seen.iter().filter(|seen| seen.added_to(self.index()).is_some()).collect();
        if news.is_empty() {
            return Ok(());
        }
        if let Some(folder) = self.path.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&self.path)?;
        // Until its last handle is closed, here.
        lock(&file)?;
        // As others have left it by now.
        let index = Index::of(file.try_clone()?)?;
        let mut lines = if index.is_whole { Vec::new() } else { b"\n".to_vec() };
        for (key, stored) in news.iter().filter_map(|seen| seen.added_to(&index)) {
            lines.extend_from_slice(key.as_bytes());
            lines.push(b'\t');
            serde_json::to_writer(&mut lines, &stored)?;
            lines.push(b'\n');
        }
        file.write_all(&lines)?;
        if index.length.saturating_add(lines.len() as u64) > MAX_BYTES {
            self.shorten(Index::of(file)?, MAX_BYTES / 2)?;
        }
        Ok(())
    }

    /// Keeps the newest lines, `most` bytes of them. Whoever waits to write to the file that was there writes for nobody.
    fn shorten(&self, index: Index, most: u64) -> std::io::Result<()> {
        let mut ranges: Vec<_> = index.lines.values().cloned().collect();
        ranges.sort_by_key(|range| range.start);
        let mut total = 0;
        let newest = ranges.iter().rev().take_while(|range| {
            total += range.end - range.start;
            total <= most
        });
        let first = ranges.len() - newest.count();
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        for range in ranges.into_iter().skip(first) {
            file.write_all(&index.bytes(range)?)?;
        }
        file.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }

    fn load(&self, name: &PackageName, version: &str) -> Option<Listed> {
        let key = key(name, version)?;
        let ahead = self.lock().remove(&key);
        ahead.or_else(|| self.index().stored(&key).map(Listed::from))
    }

    /// One that cannot be read is empty.
    fn index(&self) -> &Index {
        self.index.get_or_init(|| File::open(&self.path).and_then(Index::of).unwrap_or_default())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Listed>> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    fn of(file: File) -> std::io::Result<Self> {
        let mut reader = BufReader::with_capacity(256 << 10, &file).take(2 * MAX_BYTES);
        let (mut lines, mut line, mut length, mut is_whole) = (HashMap::new(), Vec::new(), 0, true);
        loop {
            line.clear();
            let end = length + reader.read_until(b'\n', &mut line)? as u64;
            if end == length {
                break;
            }
            is_whole = line.ends_with(b"\n");
            let key = line.iter().position(|byte| *byte == b'\t').and_then(|at| line.get(..at));
            if let Some(key) = key.and_then(|key| std::str::from_utf8(key).ok()).filter(|_| is_whole) {
                lines.insert(key.to_owned(), length..end);
            }
            length = end;
        }
        Ok(Self { file: Some(file), lines, length, is_whole })
    }

    fn stored(&self, key: &str) -> Option<Stored> {
        let line = self.bytes(self.lines.get(key)?.clone()).ok()?;
        // What it says, not where it lies, is whose it is.
        let json = line.strip_prefix(key.as_bytes())?.strip_prefix(b"\t")?;
        serde_json::from_slice(json).ok()
    }

    fn bytes(&self, range: Range<u64>) -> std::io::Result<Vec<u8>> {
        let file = self.file.as_ref().ok_or(std::io::ErrorKind::NotFound)?;
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(0)];
        file.read_exact_at(&mut bytes, range.start)?;
        Ok(bytes)
    }
}

impl Seen<'_> {
    /// Whose line changes, and to what; none where all of it is there.
    fn added_to(&self, index: &Index) -> Option<(String, Stored)> {
        let key = key(&self.name, self.version)?;
        let mut stored = index.stored(&key).unwrap_or_default();
        let hash = self.integrity.to_string();
        let is_said =
            self.announced_by.as_ref().is_none_or(|by| stored.announced.get(&address(by)) == Some(&hash));
        if is_said && stored.blake3.contains_key(&hash) {
            return None;
        }
        if let Some(by) = &self.announced_by {
            while stored.announced.len() >= MAX_TARBALLS {
                stored.announced.pop_first();
            }
            stored.announced.insert(address(by), hash.clone());
        }
        while stored.blake3.len() >= MAX_TARBALLS && !stored.blake3.contains_key(&hash) {
            stored.blake3.pop_first();
        }
        let files = self.files.iter().map(|(path, file)| (path.clone(), file.into())).collect();
        stored.blake3.insert(hash, files);
        Some((key, stored))
    }
}

/// Names and versions have grammars without `@` behind the first letter, tabs and line breaks.
fn key(name: &PackageName, version: &str) -> Option<String> {
    let version: Version = version.parse().ok()?;
    Some(format!("{name}@{version}"))
}

/// Nobody else writes for as long as this file is open.
fn lock(file: &File) -> std::io::Result<()> {
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if started.elapsed() < LOCK_LIMIT => {
                std::thread::sleep(LOCK_PAUSE);
            }
            Err(TryLockError::WouldBlock) => {
                let why = format!("another run has been writing to it for {LOCK_LIMIT:?}");
                return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, why));
            }
            Err(TryLockError::Error(source)) => return Err(source),
        }
    }
}

/// A registry without credentials.
fn address(registry: &Url) -> String {
    format!("{}{}", registry.origin().ascii_serialization(), registry.path())
}

impl From<Stored> for Listed {
    fn from(stored: Stored) -> Self {
        let tarballs = stored.blake3.into_iter().filter_map(|(integrity, files)| {
            let files = files.into_iter().map(|(path, file)| (path, file.into())).collect();
            Some((integrity.parse().ok()?, Arc::new(files)))
        });
        Self { tarballs: tarballs.collect(), announced: stored.announced }
    }
}

impl From<StoredFile> for FileOnDisk {
    fn from(file: StoredFile) -> Self {
        match file {
            StoredFile::Plain(hash) => Self { hash, fixed: None },
            StoredFile::Fixed(hash, fixed) => Self { hash, fixed: Some(fixed) },
        }
    }
}

impl From<&FileOnDisk> for StoredFile {
    fn from(file: &FileOnDisk) -> Self {
        match file.fixed {
            None => Self::Plain(file.hash),
            Some(fixed) => Self::Fixed(file.hash, fixed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(byte: u8) -> Files {
        let hash = B256::repeat_byte(byte);
        [
            ("index.js".to_owned(), FileOnDisk { hash, fixed: None }),
            ("cli.js".to_owned(), FileOnDisk { hash, fixed: Some(hash) }),
        ]
        .into()
    }

    /// What another run sees: a tarball of `a@1.0.0`.
    fn keep(home: &Path, byte: u8, by: Option<&Url>) {
        let (name, integrity) = ("a".parse().unwrap(), Integrity::of(&[byte]));
        let seen = Seen { name, version: "1.0.0", integrity, files: &files(byte), announced_by: by.cloned() };
        Lists::in_home(home).keep(&[seen]).unwrap();
    }

    fn known(home: &Path) -> Vec<(Integrity, Arc<Files>)> {
        Lists::in_home(home).read(&"a".parse().unwrap(), "1.0.0")
    }

    #[test]
    fn what_was_kept_is_read_again_and_old_ones_go() {
        let home = tempfile::tempdir().unwrap();
        assert!(known(home.path()).is_empty());
        for byte in 0..6 {
            keep(home.path(), byte, None);
        }
        let known = known(home.path());
        assert_eq!(known.len(), MAX_TARBALLS);
        let newest = known.iter().find(|(integrity, _)| *integrity == Integrity::of(&[5])).unwrap();
        assert_eq!(*newest.1, files(5));
        // What is known is not written again.
        let length = || std::fs::metadata(home.path().join("lists")).unwrap().len();
        let before = length();
        keep(home.path(), 5, None);
        assert_eq!(length(), before);
    }

    #[test]
    fn all_of_a_run_is_kept_at_once_beside_what_another_kept_meanwhile() {
        let home = tempfile::tempdir().unwrap();
        let lists = Lists::in_home(home.path());
        let names: [PackageName; 2] = ["a".parse().unwrap(), "@s/b".parse().unwrap()];
        // It looks, and another one writes.
        assert!(lists.read(&names[0], "1.0.0").is_empty());
        keep(home.path(), 1, None);
        let (integrity, files) = (Integrity::of(&[2]), files(2));
        let seen = |name: &PackageName| Seen {
            name: name.clone(),
            version: "1.0.0",
            integrity,
            files: &files,
            announced_by: None,
        };
        lists.keep(&names.each_ref().map(seen)).unwrap();
        let again = Lists::in_home(home.path());
        assert_eq!(again.read(&names[0], "1.0.0").len(), 2);
        assert_eq!(again.read(&names[1], "1.0.0"), [(integrity, Arc::new(files.clone()))]);
        assert!(again.read(&names[1], "1.0.1").is_empty());
    }

    #[tokio::test]
    async fn what_was_read_ahead_is_the_same() {
        let home = tempfile::tempdir().unwrap();
        keep(home.path(), 1, None);
        let lists = Lists::in_home(home.path());
        let release = |name: &str| (name.parse().unwrap(), "1.0.0".parse().unwrap());
        lists.read_ahead(vec![release("a"), release("none")]);
        while lists.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        let name: PackageName = "a".parse().unwrap();
        for _ in 0..2 {
            assert_eq!(lists.read(&name, "1.0.0"), [(Integrity::of(&[1]), Arc::new(files(1)))]);
        }
    }

    #[test]
    fn what_one_registry_announced_is_not_what_another_did() {
        let home = tempfile::tempdir().unwrap();
        let url = |text: &str| text.parse::<Url>().unwrap();
        let of = |by: &str| Lists::in_home(home.path()).announced(&"a".parse().unwrap(), "1.0.0", &url(by));
        keep(home.path(), 1, None);
        assert_eq!(of("https://one.example/"), None);
        keep(home.path(), 1, Some(&url("https://user:word@one.example/")));
        keep(home.path(), 2, Some(&url("https://two.example/x/")));
        assert_eq!(of("https://one.example/"), Some(Integrity::of(&[1])));
        assert_eq!(of("https://two.example/x/"), Some(Integrity::of(&[2])));
        assert_eq!(of("https://two.example/"), None);
        assert_eq!(known(home.path()).len(), 2);
        let text = std::fs::read_to_string(home.path().join("lists")).unwrap();
        assert!(!text.contains("word"));
    }

    #[test]
    fn a_damaged_list_is_none_and_the_next_one_counts() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("lists");
        keep(home.path(), 1, None);
        let whole = std::fs::read(&path).unwrap();
        for damaged in
            [&b"a@1.0.0\t{\n"[..], b"\n\t\n", b"\xff\t{}\n", &whole[..20], &whole[..whole.len() - 1]]
        {
            std::fs::write(&path, damaged).unwrap();
            assert!(known(home.path()).is_empty(), "{}", String::from_utf8_lossy(damaged));
            keep(home.path(), 2, None);
            assert_eq!(known(home.path()), [(Integrity::of(&[2]), Arc::new(files(2)))]);
        }
        assert!(Lists::in_home(home.path()).read(&"a".parse().unwrap(), "../../x").is_empty());
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(known(home.path()).is_empty());
    }

    #[test]
    fn a_line_is_whose_it_says_also_where_the_file_was_changed_meanwhile() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("lists");
        keep(home.path(), 1, None);
        let (lists, name) = (Lists::in_home(home.path()), "a".parse().unwrap());
        assert_eq!(lists.read(&name, "1.0.0").len(), 1);
        let other = std::fs::read_to_string(&path).unwrap().replace("a@1.0.0", "b@1.0.0");
        std::fs::write(&path, other).unwrap();
        assert!(lists.read(&name, "1.0.0").is_empty());
    }

    #[test]
    fn only_its_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        keep(home.path(), 1, None);
        assert_eq!(std::fs::metadata(home.path().join("lists")).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn the_older_ones_go_where_it_gets_too_long() {
        let home = tempfile::tempdir().unwrap();
        let lists = Lists::in_home(home.path());
        let versions = ["1.0.0", "1.0.1", "1.0.2", "1.0.0"];
        for (byte, version) in (0..).zip(versions) {
            let (name, integrity) = ("a".parse().unwrap(), Integrity::of(&[byte]));
            let seen = Seen { name, version, integrity, files: &files(byte), announced_by: None };
            lists.keep(&[seen]).unwrap();
        }
        let index = || Index::of(File::open(home.path().join("lists")).unwrap()).unwrap();
        let line = |key: &str| index().lines[key].clone();
        let most = [line("a@1.0.2"), line("a@1.0.0")].iter().map(|line| line.end - line.start).sum();
        lists.shorten(index(), most).unwrap();
        let again = Lists::in_home(home.path());
        let counts = versions.map(|version| again.read(&"a".parse().unwrap(), version).len());
        assert_eq!(counts, [2, 0, 1, 2]);
        assert_eq!(std::fs::metadata(home.path().join("lists")).unwrap().len(), most);
    }

    #[test]
    fn who_is_stopped_while_he_writes_keeps_nobody_waiting() {
        let home = tempfile::tempdir().unwrap();
        keep(home.path(), 1, None);
        let held = File::open(home.path().join("lists")).unwrap();
        held.lock().unwrap();
        let (name, integrity) = ("a".parse().unwrap(), Integrity::of(&[2]));
        let seen = Seen { name, version: "1.0.0", integrity, files: &files(2), announced_by: None };
        let error = Lists::in_home(home.path()).keep(&[seen]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        assert_eq!(known(home.path()).len(), 1);
    }
}
