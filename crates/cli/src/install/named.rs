//! `3pm verify name@version …`: packages by name, judged as the registry serves them, without a project's
//! lockfile. Resolves versions and tags, not ranges: a range has no one answer to verify.

use client::npm::{NpmClient, NpmError};
use trust::PackageName;
use trust::text::printable;
use url::Url;

use super::assess::Subject;
use super::entries::{Origin, Problem, Source, Tarball, shown_host};

/// Why a named package could not be looked up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NamedError {
    /// Not `name`, `name@version` or `name@tag`.
    #[error("{given:?} is not a package, expected `name`, `name@version` or `name@tag`")]
    Grammar {
        /// What was given.
        given: String,
    },
    /// The registry gave no usable answer.
    #[error(transparent)]
    Registry(#[from] NpmError),
    /// The registry does not know it.
    #[error("the registry knows no {what}")]
    Unknown {
        /// The package, or the version of it.
        what: String,
    },
}

/// Looks each of `given` up.
pub(crate) async fn look_up(given: &[String], npm: &NpmClient) -> Result<Vec<Subject>, NamedError> {
    let mut subjects = Vec::with_capacity(given.len());
    for given in given {
        let (name, wanted) = parse(given)?;
        let unknown = |what: String| NamedError::Unknown { what: printable(&what, 300) };
        let packument = npm.fetch_packument(&name).await?.ok_or_else(|| unknown(name.to_string()))?;
        let version = packument.dist_tags.get(&wanted).cloned().unwrap_or(wanted);
        let found = packument
            .version(&version)
            .map_err(NpmError::from)?
            .ok_or_else(|| unknown(format!("{name}@{version}")))?;
        let registry = npm.config().registry_for(&name).url;
        let source = tarball(&name, &version, found.integrity.as_deref(), found.tarball, &registry);
        subjects.push(Subject {
            location: String::new(),
            name: name.to_string(),
            version: Some(version),
            optional: false,
            manifest: Some(found.manifest),
            source,
        });
    }
    Ok(subjects)
}

fn tarball(
    name: &PackageName,
    version: &str,
    integrity: Option<&str>,
    url: Url,
    registry: &Url,
) -> Result<Source, Problem> {
    let text = integrity.unwrap_or_default();
    let integrity = text.parse().map_err(|_| Problem {
        what: "integrity that the registry announces".to_owned(),
        expected: "exactly one sha512 of 64 bytes".to_owned(),
        received: if text.is_empty() { "none".to_owned() } else { printable(text, 200) },
    })?;
    let origin = if url.origin() == registry.origin() { Origin::Registry } else { Origin::OtherHost(shown_host(&url)) };
    Ok(Source::Tarball(Tarball { name: name.clone(), version: version.parse().ok(), integrity, url: Some(url), origin }))
}

/// Name, and version or tag; `latest` when there is neither.
fn parse(given: &str) -> Result<(PackageName, String), NamedError> {
    let wrong = || NamedError::Grammar { given: printable(given, 200) };
    let (name, wanted) = match given.rfind('@') {
        Some(at) if at > 0 => (&given[..at], &given[at + 1..]),
        _ => (given, "latest"),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_');
    if wanted.is_empty() || !wanted.chars().all(plain) {
        return Err(wrong());
    }
    Ok((name.parse().map_err(|_| wrong())?, wanted.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_versions_and_tags_are_told_apart() {
        for (given, name, wanted) in [
            ("left-pad", "left-pad", "latest"),
            ("left-pad@1.3.0", "left-pad", "1.3.0"),
            ("@s/a", "@s/a", "latest"),
            ("@s/a@next", "@s/a", "next"),
            ("a@1.0.0-rc.1", "a", "1.0.0-rc.1"),
        ] {
            let (found, version) = parse(given).unwrap();
            assert_eq!((found.as_str(), version.as_str()), (name, wanted), "{given}");
        }
        for given in ["", "@", "a@", "a@^1.0.0", "a@>=1 <2", "../a", "a@npm:b@1", "https://registry.example/a.tgz", "a b"] {
            assert!(matches!(parse(given), Err(NamedError::Grammar { .. })), "{given:?}");
        }
    }

    #[test]
    fn an_announced_integrity_is_exactly_one_sha512() {
        let of = |integrity: Option<&str>| {
            let url = "https://registry.example/a/-/a-1.0.0.tgz".parse().unwrap();
            tarball(&"a".parse().unwrap(), "1.0.0", integrity, url, &"https://registry.example/".parse().unwrap())
        };
        let good = trust::Integrity::of(b"").to_string();
        assert!(of(Some(&good)).is_ok());
        assert!(of(None).is_err());
        assert!(of(Some(&format!("{good} {good}"))).is_err());
        assert!(of(Some("sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=")).is_err());
    }
}
