//! What an install or a verification found and did, as text for a person and as JSON. Text from others
//! was made printable where it came in. Decides nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use trust::policy::{Line, Origin, Policy, Rule};
use trust::text::printable;
use trust::verdict::Verdict;

use super::assess::{Assessment, Finding, Outcome, kind};
use super::decision::{Call, call, in_words, line};
use super::entries::{self, Source};
use super::plan::{self, Plan};
use super::scripted::Scripting;
use super::settings::Noted;
use super::unpacked::Receipt;
use crate::exit::{self, ExitCode};
use crate::output::{Page, counted, moment};
use crate::run_with::Again;

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
    pub(crate) policy: Arc<Policy>,
    /// Settings of the project that were overruled or deserve a word.
    pub(crate) settings: Vec<Noted>,
    /// The project; none where nothing is installed.
    pub(crate) root: Option<PathBuf>,
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
    /// Nothing was to be changed, only known what would be.
    Planned(Plan),
    /// Installed.
    Installed {
        /// What lies on disk.
        receipt: Receipt,
        /// What came of the scripts.
        scripts: Scripting,
    },
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl Report {
    /// The strictest call over all findings.
    pub(crate) fn call(&self) -> Call {
        super::decision::decide(&self.assessment.findings, &self.policy)
    }

    /// How the process ends: by the worst finding that stands in the way. What is known to be bad outranks
    /// what could not be found out, so that nobody hides the one behind an outage.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match &self.end {
            // What the policy would ask about is part of a plan.
            End::Installed { .. } | End::Planned(_) => return exit::FINE,
            End::Declined { asked: true } => return exit::NOT_CONFIRMED,
            End::Checked | End::Refused | End::Declined { asked: false } => {}
        }
        let standing =
            self.assessment.findings.iter().filter(|finding| call(finding, &self.policy) != Call::Allow);
        standing.map(|finding| code_of(finding, &self.policy)).max().unwrap_or(exit::FINE)
    }

    /// For a person.
    pub(crate) fn render(&self, page: &mut Page) {
        self.render_plan(page);
        self.render_head(page);
        for noted in &self.settings {
            page.line(&format!("  Project setting {}={}: {}", noted.setting, noted.value, noted.effect));
        }
        self.render_counts(page);
        self.render_signed(page);
        self.render_group(page, Call::Deny, "Denied:");
        self.render_group(page, Call::Undecided, "Could not be found out:");
        let warnings = match self.end {
            End::Planned(_) => "Warnings, which the install would ask about:",
            _ => "Warnings:",
        };
        self.render_group(page, Call::Warn, warnings);
        self.render_end(page);
    }

    /// For a program.
    fn to_json(&self) -> Value {
        let packages: Vec<Value> = self
            .assessment
            .findings
            .iter()
            .map(|finding| finding_json(finding, call(finding, &self.policy), line(finding, &self.policy)))
            .collect();
        let end = match &self.end {
            End::Checked => json!({"state": "checked"}),
            End::Planned(Plan { installs, removes, stays }) => {
                json!({"state": "planned", "installs": installs, "removes": removes, "stays": stays})
            }
            End::Refused => json!({"state": "refused"}),
            End::Declined { asked } => json!({"state": "declined", "asked": asked}),
            End::Installed { receipt, scripts } => {
                json!({
                    "state": "installed",
                    "receipt": receipt,
                    "scripts": scripts.said,
                    "packagesWithScripts": scripts.packages,
                })
            }
        };
        json!({
            "command": self.command,
            "network": self.network,
            "block": self.assessment.head.as_ref().map(|head| json!({
                "number": head.number, "hash": head.hash, "timestamp": head.timestamp,
            })),
            "offline": self.assessment.offline,
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

    fn render_plan(&self, page: &mut Page) {
        let End::Planned(plan) = &self.end else { return };
        let is_alone = plan.installs.is_empty() && plan.removes.is_empty();
        page.title(&format!("{}{}", plan.title(), if is_alone { "." } else { ":" }));
        for package in plan.installs.iter().take(LISTED) {
            let mut findings = self.assessment.findings.iter();
            let found = findings.find(|finding| plan::package_of(finding) == *package);
            page.line(&format!("  {}", found.map_or_else(|| package.clone(), headline)));
        }
        render_rest(page, plan.installs.len());
        for package in plan.removes.iter().take(LISTED) {
            page.line(&format!("  {package}  would be removed"));
        }
        render_rest(page, plan.removes.len());
    }

    fn render_head(&self, page: &mut Page) {
        let count = self
            .assessment
            .findings
            .iter()
            .filter(|finding| !matches!(finding.outcome, Outcome::Own))
            .count();
        let packages = counted(count, "package");
        match (&self.network, &self.assessment.head) {
            (Some(network), Some(head)) => {
                page.title(&format!("Checked {packages} against {network} at block {}.", head.number));
            }
            (Some(network), None) if let Some(since) = &self.assessment.offline => {
                page.title(&format!("Checked {packages} against what was kept of {network}."));
                page.warn(&format!(
                    "Offline: decided from records of {}; revocations and warnings since then are not known.",
                    moment(since.time)
                ));
            }
            _ => {
                page.warn("No trust network is configured: nobody was asked what maintainers signed, so no package is verified.");
                page.line(&format!(
                    "Checked {packages} for what can be checked without one: one sha512 each, its source, its name."
                ));
                page.next("3pm init");
            }
        }
    }

    fn render_counts(&self, page: &mut Page) {
        for (kind, count) in self.counts() {
            let meaning = match kind {
                "Verified" => "signed by their maintainers",
                "Legacy" => "from before their maintainers used 3pm",
                "NotEnrolled" => "not enrolled in 3pm",
                "Bundled" => "inside the checked tarball of another package",
                "NotAsked" => "not verified: no trust network",
                "Own" => "the project's own",
                _ => continue,
            };
            page.line(&format!("  {count:>5} {meaning}"));
        }
    }

    fn render_signed(&self, page: &mut Page) {
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
        page.good("Verified:");
        for (finding, release) in signed.iter().take(LISTED) {
            let signers: Vec<String> = release.signers().iter().map(ToString::to_string).collect();
            page.line(&format!(
                "  {}  signed by {} {}, {} had to:",
                subject(finding),
                signers.len(),
                if signers.len() == 1 { "member" } else { "members" },
                release.threshold()
            ));
            for signer in &signers {
                page.line(&format!("    {signer}"));
            }
            render_notes(page, finding);
        }
        render_rest(page, signed.len());
    }

    fn render_group(&self, page: &mut Page, wanted: Call, title: &str) {
        let chosen: Vec<&Finding> =
            self.assessment.findings.iter().filter(|finding| call(finding, &self.policy) == wanted).collect();
        if chosen.is_empty() {
            return;
        }
        if wanted == Call::Warn {
            page.warn(title)
        } else {
            page.bad(title)
        }
        for finding in chosen.iter().take(LISTED) {
            render_finding(page, finding);
            if let Some(line) = line(finding, &self.policy).filter(|line| !goes_without_saying(line)) {
                page.line(&format!("    {}", in_words(&line)));
            }
        }
        render_rest(page, chosen.len());
    }

    fn render_end(&self, page: &mut Page) {
        if let End::Planned(_) = &self.end {
            page.line("Nothing was changed: this was a dry run.");
        }
        let End::Installed { receipt, scripts } = &self.end else { return };
        page.good(&format!(
            "Installed {}; {} compared file by file with their checked tarballs.",
            counted(receipt.installed, "package"),
            receipt.compared
        ));
        if !receipt.left_out.is_empty() {
            let count = receipt.left_out.len();
            page.line(&format!("npm left {count} out: optional, for other platforms, or by its settings."));
        }
        scripts.render(page);
    }

    /// Why the command did not end well, in one sentence, with what to do next; `None` when it did.
    pub(crate) fn refusal(&self, again: &Again) -> Option<(String, Vec<String>)> {
        if self.exit_code() == exit::FINE {
            return None;
        }
        let count = |wanted| {
            let findings = self.assessment.findings.iter();
            findings.filter(|finding| call(finding, &self.policy) == wanted).count()
        };
        let mut reasons = Vec::new();
        for (count, reason) in [
            (count(Call::Deny), "denied"),
            (count(Call::Undecided), "could not be found out"),
            (count(Call::Warn), "with a warning"),
        ] {
            if count > 0 {
                reasons.push(format!("{count} {reason}"));
            }
        }
        let reasons = reasons.join(", ");
        let nothing =
            if self.command == "install" { "nothing was installed" } else { "not everything is good" };
        Some(match &self.end {
            End::Declined { asked: true } => ("nothing was installed, as you decided".to_owned(), vec![]),
            End::Declined { asked: false } => (
                format!("{nothing}: {reasons}, and nobody to ask"),
                vec![again.accepting(), "or decide them in the policy: 3pm policy show".to_owned()],
            ),
            _ => (format!("{nothing}: {reasons}"), vec![]),
        })
    }
}

/// `name@version`, and what is known of it.
pub(crate) fn headline(finding: &Finding) -> String {
    let subject = subject(finding);
    match &finding.outcome {
        Outcome::Judged(verdict) => format!("{subject}  {}: {}", verdict.name(), meaning(verdict)),
        Outcome::Refused(problem) => format!("{subject}  Refused: {}", problem.what),
        Outcome::Undecided(reason) => format!("{subject}  {reason}"),
        Outcome::Elsewhere(place) => format!("{subject}  does not come from a registry: {place}"),
        Outcome::NotAsked => format!("{subject}  not verified"),
        Outcome::Own => format!("{subject}  the project's own"),
        Outcome::Bundled(parent) => format!("{subject}  inside the tarball of {}", printable(parent, 200)),
    }
}

/// `name@version`, with its folder where that has another name.
fn subject(finding: &Finding) -> String {
    let subject = &finding.subject;
    let version = subject.version.as_deref().unwrap_or("(no version)");
    let text = printable(&format!("{}@{version}", subject.name), 300);
    let named = subject.location.ends_with(&format!("node_modules/{}", subject.name));
    if named || subject.location.is_empty() || subject.location == text {
        text
    } else {
        format!("{text} in {}", printable(&subject.location, 200))
    }
}

fn render_finding(page: &mut Page, finding: &Finding) {
    page.line(&format!("  {}", headline(finding)));
    let sides = match &finding.outcome {
        Outcome::Judged(Verdict::Mismatch(mismatch)) => Some((&mismatch.expected, &mismatch.received)),
        Outcome::Refused(problem) => Some((&problem.expected, &problem.received)),
        _ => None,
    };
    if let Some((expected, received)) = sides {
        page.line(&format!("    expected  {expected}"));
        page.line(&format!("    received  {received}"));
    }
    render_notes(page, finding);
}

fn render_notes(page: &mut Page, finding: &Finding) {
    for note in &finding.notes {
        page.line(&format!("    note: {note}"));
    }
}

fn render_rest(page: &mut Page, count: usize) {
    if count > LISTED {
        page.line(&format!("  and {} more: --json lists all", count - LISTED));
    }
}

/// The exit code of a finding that stands in the way.
fn code_of(finding: &Finding, policy: &Policy) -> ExitCode {
    if line(finding, policy).is_some_and(|line| line.rule == Rule::YoungRelease) {
        return exit::YOUNG;
    }
    let from_registry = match &finding.subject.source {
        Ok(Source::Tarball(tarball)) => tarball.origin == entries::Origin::Registry,
        _ => false,
    };
    match &finding.outcome {
        Outcome::Judged(verdict) => match verdict {
            Verdict::Verified(_) => exit::FINE,
            Verdict::Flagged { .. } => exit::FLAGGED,
            Verdict::NotEnrolled if !from_registry => exit::NON_REGISTRY,
            Verdict::NotEnrolled => exit::NOT_ENROLLED,
            Verdict::Legacy => exit::LEGACY,
            Verdict::Cooling { .. } => exit::COOLING,
            Verdict::Unrecorded => exit::UNRECORDED,
            Verdict::Vetoed => exit::VETOED,
            Verdict::Revoked => exit::REVOKED,
            Verdict::Mismatch(_) => exit::MISMATCH,
        },
        Outcome::Refused(_) => exit::MISMATCH,
        Outcome::Undecided(_) => exit::UNKNOWN,
        Outcome::NotAsked if from_registry => exit::NOT_ENROLLED,
        Outcome::Elsewhere(_) | Outcome::NotAsked => exit::NON_REGISTRY,
        Outcome::Own | Outcome::Bundled(_) => exit::FINE,
    }
}

fn meaning(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Verified(_) => "signed by its maintainers".to_owned(),
        Verdict::Legacy => "from before its maintainers used 3pm".to_owned(),
        Verdict::NotEnrolled => "3pm knows nothing of this name".to_owned(),
        Verdict::Unrecorded => {
            "its maintainers use 3pm, and did not sign this version: somebody published around them"
                .to_owned()
        }
        Verdict::Mismatch(mismatch) => mismatch.what.clone(),
        Verdict::Revoked => "taken back by its maintainers".to_owned(),
        Verdict::Vetoed => "stopped by a maintainer before it took effect".to_owned(),
        Verdict::Cooling { active_at } => {
            format!("signed, but it takes effect at {} only", moment(*active_at))
        }
        Verdict::Flagged { until, .. } => format!("a maintainer warns of it until {}", moment(*until)),
    }
}

/// What a line says that nobody wrote, for no reason of its own, is said by the verdict already.
fn goes_without_saying(line: &Line) -> bool {
    line.rule == Rule::Fixed || (line.origin == Origin::BuiltIn && line.because.is_none())
}

fn finding_json(finding: &Finding, call: Call, decided_by: Option<Line>) -> Value {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Row<'a> {
        location: &'a str,
        name: &'a str,
        version: Option<&'a str>,
        outcome: &'static str,
        call: Call,
        decided_by: Option<Line>,
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
        decided_by,
        detail,
        notes: &finding.notes,
    };
    serde_json::to_value(row).unwrap_or_default()
}
