//! npm tokens at rest: AES-256-GCM under a key that is in the environment or in a file of its own. The
//! package's name is associated data, so a sealed token moved to another row does not open.
//!
//! Format of a sealed token: base64 of `nonce (12) || ciphertext || tag (16)`.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{Aead as _, AeadCore as _, KeyInit as _, OsRng, Payload};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use trust::PackageName;

/// The key file in the data folder.
const KEY_FILE: &str = "vault.key";

/// What the associated data begins with: a token sealed for something else does not open here.
const PURPOSE: &str = "3pm npm token v1:";

pub(crate) struct Vault {
    cipher: Aes256Gcm,
}

/// Why the vault does not open, or a token in it does not.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// Not 32 bytes.
    #[error("vault key from {from} is not 32 bytes in hex or base64")]
    Key {
        /// Where it came from.
        from: String,
    },
    /// The key file.
    #[error("vault key file {path} cannot be {action}")]
    File {
        /// Which.
        path: PathBuf,
        /// Read or created.
        action: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Sealed under another key or for another package, or damaged.
    #[error("the stored token of {package} does not open: another key, or damaged")]
    Sealed {
        /// The package.
        package: PackageName,
    },
}

impl Vault {
    /// With the given key, else with the key file, which is made on the first start.
    pub(crate) fn open(key: Option<&SecretString>, folder: &Path) -> Result<Self, VaultError> {
        let key = match key {
            Some(key) => parse_key(key.expose_secret(), "the environment")?,
            None => key_file(&folder.join(KEY_FILE))?,
        };
        Ok(Self { cipher: Aes256Gcm::new(&key.into()) })
    }

    pub(crate) fn seal(&self, package: &PackageName, token: &SecretString) -> Result<String, VaultError> {
        let nonce = Aes256Gcm::generate_nonce(&mut OsRng);
        let payload = Payload { msg: token.expose_secret().as_bytes(), aad: &associated(package) };
        let sealed = self
            .cipher
            .encrypt(&nonce, payload)
            .map_err(|_| VaultError::Sealed { package: package.clone() })?;
        Ok(STANDARD.encode([&nonce[..], &sealed].concat()))
    }

    pub(crate) fn open_token(&self, package: &PackageName, sealed: &str) -> Result<SecretString, VaultError> {
        let closed = || VaultError::Sealed { package: package.clone() };
        let bytes = STANDARD.decode(sealed).map_err(|_| closed())?;
        let (nonce, ciphertext) = bytes.split_first_chunk::<12>().ok_or_else(closed)?;
        let payload = Payload { msg: ciphertext, aad: &associated(package) };
        let token = self.cipher.decrypt(&(*nonce).into(), payload).map_err(|_| closed())?;
        Ok(String::from_utf8(token).map_err(|_| closed())?.into())
    }
}

fn associated(package: &PackageName) -> Vec<u8> {
    format!("{PURPOSE}{package}").into_bytes()
}

fn parse_key(text: &str, from: &str) -> Result<[u8; 32], VaultError> {
    let text = text.trim();
    let bytes =
        hex::decode(text.trim_start_matches("0x")).or_else(|_| STANDARD.decode(text)).unwrap_or_default();
    bytes.try_into().map_err(|_| VaultError::Key { from: from.to_owned() })
}

fn key_file(path: &Path) -> Result<[u8; 32], VaultError> {
    let failed = |action| move |source| VaultError::File { path: path.to_owned(), action, source };
    match fs::read_to_string(path) {
        Ok(text) => {
            check_mode(path).map_err(failed("read"))?;
            parse_key(&text, &path.display().to_string())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = Aes256Gcm::generate_key(&mut OsRng);
            write_once(path, &hex::encode(key)).map_err(failed("created"))?;
            tracing::warn!(
                path = %path.display(),
                "made a new vault key beside the database: who has both has every npm token; \
                 for anything but development set THREEPM_COORDINATOR_KEY instead"
            );
            Ok(key.into())
        }
        Err(error) => Err(failed("read")(error)),
    }
}

/// Whole or not at all, never over another, readable by its owner only.
fn write_once(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    writeln!(file, "{text}")?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    fs::File::open(folder)?.sync_all()
}

/// Whoever can read the key can read every token.
#[cfg(unix)]
fn check_mode(path: &Path) -> io::Result<()> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path)?.permissions()) & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(io::Error::other(format!("others may read it (mode {mode:o}): chmod 600 {}", path.display())))
}

#[cfg(not(unix))]
fn check_mode(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> PackageName {
        text.parse().unwrap()
    }

    fn vault(key: &str) -> Vault {
        Vault::open(Some(&key.to_owned().into()), Path::new("/nowhere")).unwrap()
    }

    #[test]
    fn a_token_opens_under_its_own_key_and_package_only() {
        let (key, other) = ("11".repeat(32), "22".repeat(32));
        let sealed = vault(&key).seal(&name("a"), &"npm_secret".to_owned().into()).unwrap();
        assert!(!sealed.contains("npm_secret"));
        assert_eq!(vault(&key).open_token(&name("a"), &sealed).unwrap().expose_secret(), "npm_secret");
        assert!(vault(&key).open_token(&name("b"), &sealed).is_err());
        assert!(vault(&other).open_token(&name("a"), &sealed).is_err());
        assert!(vault(&key).open_token(&name("a"), "AAAA").is_err());
        let mut bytes = STANDARD.decode(&sealed).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        assert!(vault(&key).open_token(&name("a"), &STANDARD.encode(bytes)).is_err());
    }

    #[test]
    fn the_same_token_is_never_sealed_alike() {
        let vault = vault(&"11".repeat(32));
        let token: SecretString = "npm_secret".to_owned().into();
        assert_ne!(vault.seal(&name("a"), &token).unwrap(), vault.seal(&name("a"), &token).unwrap());
    }

    #[test]
    fn keys_come_in_hex_or_base64_and_have_32_bytes() {
        assert!(parse_key(&"ab".repeat(32), "a test").is_ok());
        assert!(parse_key(&STANDARD.encode([7; 32]), "a test").is_ok());
        for bad in ["", "ab", &"ab".repeat(33), "not a key"] {
            assert!(matches!(parse_key(bad, "a test"), Err(VaultError::Key { .. })), "{bad}");
        }
    }

    #[test]
    fn the_key_file_is_made_once_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let sealed =
            Vault::open(None, folder.path()).unwrap().seal(&name("a"), &"t".to_owned().into()).unwrap();
        assert!(Vault::open(None, folder.path()).unwrap().open_token(&name("a"), &sealed).is_ok());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(folder.path().join(KEY_FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let there: Vec<_> =
            fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(there, [KEY_FILE], "something is left beside it");
    }

    #[test]
    #[cfg(unix)]
    fn a_key_file_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        Vault::open(None, folder.path()).unwrap();
        let path = folder.path().join(KEY_FILE);
        for mode in [0o640, 0o604, 0o644] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = Vault::open(None, folder.path()).err().unwrap();
            let why = std::error::Error::source(&error).unwrap().to_string();
            assert!(why.contains("chmod 600"), "{error}: {why}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert!(Vault::open(None, folder.path()).is_ok());
    }

    #[test]
    fn a_key_file_is_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(KEY_FILE);
        write_once(&path, "first").unwrap();
        assert!(write_once(&path, "second").is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "first\n");
    }
}
