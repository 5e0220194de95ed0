//! What an install or a verification found and did, as text for a person and as JSON. Text from others
//! was made printable where it came in; colour is not used, so nothing is said by colour alone.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chain::Head;
use serde::Serialize;
use serde_json::{Value, json};
use trust::policy::Policy;
use trust::text::printable;
use trust::verdict::Verdict;

use super::assess::{Assessment, Finding, Outcome};
use super::decision::{Call, call};
use super::settings::Noted;
use super::unpacked::Receipt;

/// How many packages of one kind a text lists before it counts the rest.
const LISTED: usize = 20;

/// Everything there is to say.
#[derive(Debug)]
pub(crate) struct Report {
    /// `install` or `verify`.
    pub(crate) command: &'static str,
    /// The trust network's name; `None` when none is configured.
    pub(crate) network: Option<String>,
    /// What was found out.
    pub(crate) assessment: Assessment,
    /// The policy that was applied.
    pub(crate) policy: Policy,
    /// Settings of the project that were overruled or deserve a word.
    pub(crate) settings: Vec<Noted>,
    /// How it ended.
    pub(crate) end: End,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// Nothing was to be installed.
    Checked,
    /// Refused by the policy, or because something could not be found out.
    Refused,
    /// The person said no, or nobody could be asked.
    Declined {
        /// Whether somebody was asked.
        asked: bool,
    },
    /// Installed.
    Installed {
        /// What lies on disk.
        receipt: Receipt,
        /// What came of the scripts, in words.
        scripts: String,
    },
}

impl Report {
    /// The strictest call over all findings.
    pub(crate) fn call(&self) -> Call {
        super::decision::decide(&self.assessment.findings, &self.policy)
    }

    /// The verdict that weighs most among those that were refused, for the exit code.
    pub(crate) fn refused(&self) -> impl Iterator<Item = &Finding> {
        self.assessment.findings.iter().filter(|finding| call(finding, &self.policy) != Call::Allow)
    }

    /// For a person.
    pub(crate) fn to_text(&self) -> String {
        let mut out = String::new();
        self.write_head(&mut out);
        for noted in &self.settings {
            let _ = writeln!(out, "  Project setting {}={}: {}", noted.setting, noted.value, noted.effect);
        }
        self.write_counts(&mut out);
        self.write_signed(&mut out);
        for (wanted, title) in [(Call::Deny, "Denied"), (Call::Undecided, "Could not be found out"), (Call::Warn, "Warnings")] {
            let chosen: Vec<&Finding> =
                self.assessment.findings.iter().filter(|finding| call(finding, &self.policy) == wanted).collect();
            if !chosen.is_empty() {
                let _ = writeln!(out, "{title}:");
                write_findings(&mut out, &chosen);
            }
        }
        self.write_end(&mut out);
        out
    }

    /// For a program.
    pub(crate) fn to_json(&self) -> Value {
        let packages: Vec<Value> =
            self.assessment.findings.iter().map(|finding| finding_json(finding, call(finding, &self.policy))).collect();
        let end = match &self.end {
            End::Checked => json!({"state": "checked"}),
            End::Refused => json!({"state": "refused"}),
            End::Declined { asked } => json!({"state": "declined", "asked": asked}),
            End::Installed { receipt, scripts } => json!({"state": "installed", "receipt": receipt, "scripts": scripts}),
        };
        json!({
            "command": self.command,
            "network": self.network,
            "block": self.assessment.head.as_ref().map(|head| json!({
                "number": head.number, "hash": head.hash, "timestamp": head.timestamp,
            })),
            "call": self.call(),
            "counts": self.counts(),
            "settings": self.settings,
            "packages": packages,
            "end": end,
        })
    }

    fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for finding in &self.assessment.findings {
            *counts.entry(kind(&finding.outcome)).or_insert(0) += 1;
        }
        counts
    }

    fn write_head(&self, out: &mut String) {
        let count = self.assessment.findings.iter().filter(|finding| !matches!(finding.outcome, Outcome::Own)).count();
        let packages = if count == 1 { "1 package".to_owned() } else { format!("{count} packages") };
        let _ = match (&self.network, &self.assessment.head) {
            (Some(network), Some(Head { number, .. })) => {
                writeln!(out, "Checked {packages} against {network} at block {number}.")
            }
            _ => writeln!(
                out,
                "No trust network is configured: nobody was asked what maintainers signed, so no package is verified.\n\
                 Checked {packages} for what can be checked without one: one sha512 each, its source, its name.\n\
                 To verify packages, configure a network with `3pm init`."
            ),
        };
    }

    fn write_counts(&self, out: &mut String) {
        for (kind, count) in self.counts() {
            let meaning = match kind {
                "Verified" => "signed by their maintainers",
                "Legacy" => "from before their maintainers used 3pm",
                "NotEnrolled" => "not enrolled in 3pm",
                "Bundled" => "inside the checked tarball of another package",
                "NotAsked" => "not verified: no trust network",
                "Elsewhere" => "not from a registry",
                "Own" => "the project's own",
                _ => continue,
            };
            let _ = writeln!(out, "  {count:>5} {meaning}");
        }
    }

    fn write_signed(&self, out: &mut String) {
        let signed: Vec<_> = self
            .assessment
            .findings
            .iter()
            .filter_map(|finding| match &finding.outcome {
                Outcome::Judged(Verdict::Verified(release)) => Some((finding, release)),
                _ => None,
            })
            .collect();
        if signed.is_empty() {
            return;
        }
        let _ = writeln!(out, "Verified:");
        for (finding, release) in signed.iter().take(LISTED) {
            let signers: Vec<String> = release.signers().iter().map(ToString::to_string).collect();
            let _ = writeln!(
                out,
                "  {}  signed by {} ({} had to)",
                subject(finding),
                signers.join(", "),
                release.threshold()
            );
            write_notes(out, finding);
        }
        write_rest(out, signed.len());
    }

    fn write_end(&self, out: &mut String) {
        let _ = match &self.end {
            End::Checked => Ok(()),
            End::Refused if self.call() == Call::Undecided => {
                writeln!(out, "Nothing was installed, because not everything could be found out.")
            }
            End::Refused => writeln!(out, "Nothing was installed."),
            End::Declined { asked: true } => writeln!(out, "Nothing was installed, as you decided."),
            End::Declined { asked: false } => writeln!(
                out,
                "Nothing was installed: there are warnings and nobody to ask. `--yes` accepts warnings, the policy in \
                 the configuration decides them for good."
            ),
            End::Installed { receipt, scripts } => {
                let _ = writeln!(
                    out,
                    "Installed {} packages; {} of them compared file by file with their checked tarballs. {scripts}",
                    receipt.installed, receipt.compared
                );
                match receipt.left_out.len() {
                    0 => Ok(()),
                    count => writeln!(out, "Left out by npm (optional, for other platforms, or by its settings): {count}."),
                }
            }
        };
    }
}

/// `name@version`, with its folder where that has another name.
fn subject(finding: &Finding) -> String {
    let subject = &finding.subject;
    let version = subject.version.as_deref().unwrap_or("(no version)");
    let text = printable(&format!("{}@{version}", subject.name), 300);
    let named = subject.location.ends_with(&format!("node_modules/{}", subject.name));
    if named || subject.location.is_empty() { text } else { format!("{text} in {}", printable(&subject.location, 200)) }
}

fn write_findings(out: &mut String, findings: &[&Finding]) {
    for finding in findings.iter().take(LISTED) {
        let subject = subject(finding);
        let _ = match &finding.outcome {
            Outcome::Judged(verdict) => {
                let _ = writeln!(out, "  {subject}  {}: {}", verdict.name(), meaning(verdict));
                match verdict {
                    Verdict::Mismatch(mismatch) => write_sides(out, &mismatch.expected, &mismatch.received),
                    _ => Ok(()),
                }
            }
            Outcome::Refused(problem) => {
                let _ = writeln!(out, "  {subject}  Refused: {}", problem.what);
                write_sides(out, &problem.expected, &problem.received)
            }
            Outcome::Undecided(reason) => writeln!(out, "  {subject}  {reason}"),
            Outcome::Elsewhere(place) => writeln!(out, "  {subject}  does not come from a registry: {place}"),
            Outcome::NotAsked => writeln!(out, "  {subject}  not verified"),
            Outcome::Own | Outcome::Bundled(_) => Ok(()),
        };
        write_notes(out, finding);
    }
    write_rest(out, findings.len());
}

fn write_sides(out: &mut String, expected: &str, received: &str) -> std::fmt::Result {
    writeln!(out, "    expected {expected}\n    received {received}")
}

fn write_notes(out: &mut String, finding: &Finding) {
    for note in &finding.notes {
        let _ = writeln!(out, "    Note: {note}");
    }
}

fn write_rest(out: &mut String, count: usize) {
    if count > LISTED {
        let _ = writeln!(out, "  and {} more (all of them with --json)", count - LISTED);
    }
}

fn meaning(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Verified(_) => "signed by its maintainers".to_owned(),
        Verdict::Legacy => "from before its maintainers used 3pm".to_owned(),
        Verdict::NotEnrolled => "3pm knows nothing of this name".to_owned(),
        Verdict::Unrecorded => {
            "its maintainers use 3pm, and did not sign this version: somebody published around them".to_owned()
        }
        Verdict::Mismatch(mismatch) => mismatch.what.clone(),
        Verdict::Revoked => "taken back by its maintainers".to_owned(),
        Verdict::Vetoed => "stopped by a maintainer before it took effect".to_owned(),
        Verdict::Cooling { active_at } => format!("signed, but it takes effect at {active_at} only"),
        Verdict::Flagged { until, .. } => format!("a maintainer warns of it until {until}"),
    }
}

/// The name of an outcome in counts and in JSON.
fn kind(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Judged(verdict) => verdict.name(),
        Outcome::Refused(_) => "Refused",
        Outcome::Undecided(_) => "Undecided",
        Outcome::Elsewhere(_) => "Elsewhere",
        Outcome::Bundled(_) => "Bundled",
        Outcome::Own => "Own",
        Outcome::NotAsked => "NotAsked",
    }
}

fn finding_json(finding: &Finding, call: Call) -> Value {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Row<'a> {
        location: &'a str,
        name: &'a str,
        version: Option<&'a str>,
        outcome: &'static str,
        call: Call,
        detail: Value,
        notes: &'a [String],
    }
    let detail = match &finding.outcome {
        Outcome::Judged(verdict) => serde_json::to_value(verdict).unwrap_or_default(),
        Outcome::Refused(problem) => serde_json::to_value(problem).unwrap_or_default(),
        Outcome::Undecided(reason) => json!({"reason": reason}),
        Outcome::Elsewhere(place) => json!({"source": place}),
        Outcome::Bundled(parent) => json!({"parent": parent}),
        Outcome::Own | Outcome::NotAsked => Value::Null,
    };
    let row = Row {
        location: &finding.subject.location,
        name: &finding.subject.name,
        version: finding.subject.version.as_deref(),
        outcome: kind(&finding.outcome),
        call,
        detail,
        notes: &finding.notes,
    };
    serde_json::to_value(row).unwrap_or_default()
}
