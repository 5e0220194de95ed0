//! npm's settings in this folder, as far as one weakens what 3pm does, or makes npm do something that 3pm does
//! not let it do. What is in force is npm's to say, so npm is asked.

use std::ffi::OsString;

use serde_json::Value;

use super::{Check, Finding, LIMIT, limited};
use crate::context::Context;
use crate::install::npm::Npm;

const AREA: &str = "configured";

/// A setting, the value that is fine where only one is, and what another one means.
const WATCHED: [(&str, &str, &str); 8] = [
    ("strict-ssl", "true", "npm checks no certificates; 3pm checks them all the same while it installs"),
    ("noproxy", "", "overruled while 3pm installs, which goes through its own proxy"),
    ("cafile", "", "another certificate authority is trusted for the registry"),
    ("package-lock", "true", "without a lockfile no later install is held to the same bytes; 3pm writes one"),
    ("script-shell", "", "scripts run in it; 3pm leaves it out until everything is checked"),
    ("node-options", "", "may load code into npm; 3pm leaves it out until everything is checked"),
    ("git", "git", "runs in place of git; 3pm leaves it out until everything is checked"),
    (
        "replace-registry-host",
        "npmjs",
        "rewrites where a lockfile fetches from; the bytes are judged all the same",
    ),
];

/// What is set, and what that means.
pub(super) fn checks(context: &Context) -> Vec<Check<'_>> {
    vec![limited(AREA, "npm settings", async move { look(context).await })]
}

async fn look(context: &Context) -> Vec<Finding> {
    let settings = async {
        let folder = std::env::current_dir()?;
        let arguments: Vec<OsString> = ["config", "list", "--json"].map(OsString::from).into();
        let output = Npm::find(&folder)?.run(&folder, &arguments, LIMIT).await?;
        Ok::<Value, crate::errors::Failure>(serde_json::from_str(&output.stdout)?)
    };
    let settings = match settings.await {
        Ok(settings) => settings,
        Err(failure) => {
            return vec![Finding::fail(AREA, "npm settings", failure.sentence()).fix("npm config list")];
        }
    };
    let origin =
        context.network_if_configured().ok().flatten().and_then(|network| network.registry_origin.clone());
    let findings = judge(&settings, origin.as_ref().map(url::Url::as_str));
    if findings.is_empty() {
        return vec![Finding::ok(AREA, "npm settings", "nothing that weakens an install")];
    }
    findings
}

fn judge(settings: &Value, origin: Option<&str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, fine, means) in WATCHED {
        let value = shown(&settings[name]);
        if value.is_empty() || value == fine {
            continue;
        }
        findings.push(
            Finding::warn(AREA, format!("npm {name}"), format!("{value}: {means}"))
                .fix(format!("npm config ls names the file that says so: take {name} out of it")),
        );
    }
    if shown(&settings["global"]) == "true" || shown(&settings["location"]) == "global" {
        findings.push(
            Finding::fail(AREA, "npm global", "every install is a global one, which 3pm cannot check")
                .fix("npm config ls names the file that says so: take global and location out of it"),
        );
    }
    if shown(&settings["ignore-scripts"]) == "true" {
        findings.push(Finding::ok(
            AREA,
            "npm ignore-scripts",
            "true: no script of any package runs, approved or not",
        ));
    }
    let registry = shown(&settings["registry"]);
    if let Some(origin) = origin
        && registry.trim_end_matches('/') != origin.trim_end_matches('/')
    {
        findings.push(
            Finding::warn(
                AREA,
                "npm registry",
                format!("{registry}, while the records of the network are of {origin}"),
            )
            .fix(format!("npm config set registry {origin}")),
        );
    }
    findings
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(several) => several.iter().map(shown).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Level;
    use super::*;

    #[test]
    fn what_weakens_is_named_and_what_does_not_is_not() {
        let plain = json!({"strict-ssl": true, "noproxy": [""], "package-lock": true, "git": "git",
            "registry": "https://registry.example/", "script-shell": null, "global": false});
        assert_eq!(judge(&plain, Some("https://registry.example")), []);
        let names = |settings: Value| -> Vec<(String, Level)> {
            judge(&settings, None).into_iter().map(|finding| (finding.name, finding.level)).collect()
        };
        assert_eq!(names(json!({"strict-ssl": false})), [("npm strict-ssl".to_owned(), Level::Warn)]);
        assert_eq!(names(json!({"noproxy": ["x.example"]})), [("npm noproxy".to_owned(), Level::Warn)]);
        assert_eq!(names(json!({"global": true})), [("npm global".to_owned(), Level::Fail)]);
        assert_eq!(names(json!({"ignore-scripts": true})), [("npm ignore-scripts".to_owned(), Level::Ok)]);
        let other = judge(&json!({"registry": "https://other.example/"}), Some("https://registry.example/"));
        assert_eq!(other[0].level, Level::Warn);
    }
}
