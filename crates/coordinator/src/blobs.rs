//! Tarballs on disk, named by their SHA-512: written aside, synced, renamed. What is read back is hashed
//! again before it is used.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use trust::digest::Hasher;
use trust::{ContentHash, Integrity, TarballHashes};

/// How long an upload may say nothing: others of the same member wait behind it.
const UPLOAD_SILENCE: Duration = Duration::from_secs(30);

/// Read at once.
const CHUNK: usize = 64 << 10;

pub(crate) struct Blobs {
    folder: PathBuf,
}

/// Why bytes could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BlobError {
    #[error("tarball store failed")]
    Io(#[from] io::Error),
    #[error("tarball {integrity} is not in the store")]
    Missing { integrity: Integrity },
    #[error("stored tarball hashes to {found}, expected {expected}")]
    Damaged { expected: Integrity, found: Integrity },
}

/// Why an upload ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    #[error("more than {limit} bytes came")]
    TooLarge { limit: usize },
    #[error("the upload ended early: {reason}")]
    Truncated { reason: String },
    #[error(transparent)]
    Blob(#[from] BlobError),
}

/// An upload that is whole but not kept yet; dropping it removes it.
pub(crate) struct Upload {
    path: tempfile::TempPath,
    pub(crate) hashes: TarballHashes,
    pub(crate) size: u64,
}

impl Blobs {
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder.join("incoming"))?;
        // What a crash left behind belongs to nobody.
        for entry in std::fs::read_dir(folder.join("incoming"))? {
            std::fs::remove_file(entry?.path())?;
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// Writes a stream aside and hashes it on the way.
    pub(crate) async fn receive<E: std::fmt::Display>(
        &self,
        mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
        limit: usize,
    ) -> Result<Upload, UploadError> {
        let temporary =
            tempfile::NamedTempFile::new_in(self.folder.join("incoming")).map_err(BlobError::from)?;
        let (file, path) = temporary.into_parts();
        let mut file = tokio::fs::File::from_std(file);
        let (mut sha512, mut sha256, mut size) = (Hasher::sha512(), Hasher::sha256(), 0_usize);
        let silent = |_| UploadError::Truncated { reason: format!("nothing came for {UPLOAD_SILENCE:?}") };
        while let Some(chunk) = tokio::time::timeout(UPLOAD_SILENCE, body.next()).await.map_err(silent)? {
            let chunk = chunk.map_err(|error| UploadError::Truncated { reason: error.to_string() })?;
            size = size.saturating_add(chunk.len());
            if size > limit {
                return Err(UploadError::TooLarge { limit });
            }
            sha512.update(&chunk);
            sha256.update(&chunk);
            file.write_all(&chunk).await.map_err(BlobError::from)?;
        }
        file.flush().await.map_err(BlobError::from)?;
        file.sync_all().await.map_err(BlobError::from)?;
        let hashes = TarballHashes {
            integrity: Integrity::from_raw(sha512.finish().0),
            content_hash: ContentHash(sha256.finish()),
        };
        Ok(Upload { path, hashes, size: size as u64 })
    }

    /// Keeps an upload under its hash.
    pub(crate) fn keep(&self, upload: Upload) -> Result<(), BlobError> {
        let target = self.path(&upload.hashes.integrity);
        upload.path.persist(&target).map_err(|error| error.error)?;
        std::fs::File::open(&self.folder)?.sync_all()?;
        Ok(())
    }

    /// The bytes with this hash, and no others.
    pub(crate) async fn read(&self, integrity: &Integrity) -> Result<Bytes, BlobError> {
        let read = tokio::fs::read(self.path(integrity)).await;
        let bytes = Bytes::from(read.map_err(|error| missing(integrity, error))?);
        let found = Integrity::of(&bytes);
        if found != *integrity {
            return Err(BlobError::Damaged { expected: *integrity, found });
        }
        Ok(bytes)
    }

    /// The same as an open file and its length: hashed to its end, then back at its beginning. Whoever sends it on holds
    /// none of it in memory.
    pub(crate) async fn open_verified(
        &self,
        integrity: &Integrity,
    ) -> Result<(tokio::fs::File, u64), BlobError> {
        let opened = tokio::fs::File::open(self.path(integrity)).await;
        let mut file = opened.map_err(|error| missing(integrity, error))?;
        let (mut sha512, mut chunk, mut size) = (Hasher::sha512(), vec![0; CHUNK], 0_u64);
        loop {
            let read = file.read(&mut chunk).await?;
            if read == 0 {
                break;
            }
            sha512.update(chunk.get(..read).unwrap_or_default());
            size = size.saturating_add(read as u64);
        }
        let found = Integrity::from_raw(sha512.finish().0);
        if found != *integrity {
            return Err(BlobError::Damaged { expected: *integrity, found });
        }
        file.rewind().await?;
        Ok((file, size))
    }

    /// Removes the bytes with this hash, if they are there.
    pub(crate) fn remove(&self, integrity: &Integrity) -> Result<(), BlobError> {
        match std::fs::remove_file(self.path(integrity)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn path(&self, integrity: &Integrity) -> PathBuf {
        self.folder.join(format!("{}.tgz", hex::encode(integrity.as_bytes())))
    }
}

/// What is not there is lost; everything else may work the next time.
fn missing(integrity: &Integrity, error: io::Error) -> BlobError {
    match error.kind() {
        io::ErrorKind::NotFound => BlobError::Missing { integrity: *integrity },
        _ => BlobError::Io(error),
    }
}

impl Upload {
    pub(crate) async fn bytes(&self) -> Result<Bytes, BlobError> {
        Ok(Bytes::from(tokio::fs::read(&self.path).await?))
    }
}
