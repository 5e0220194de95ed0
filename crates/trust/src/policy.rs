//! What is wanted done about what was found. Data, apart from verdicts: no policy turns a bad verdict into a good
//! one, it only says whether to go on. Reads no file and no clock: rules and time are handed in.
//!
//! Rules come in layers: what is built in with the user's lines over it, and each file of the project. The strictest
//! layer decides, so a project tightens what its user wants and never loosens it; an exception is one for the layer
//! that it stands in. Within a layer, each of these is one line, and the strictest counts:
//! 1. The verdict. `Mismatch`, `Revoked`, `Vetoed` and `Cooling` are denied, whatever anybody writes.
//! 2. Where it comes from, unless its bytes are signed or from before the claim.
//! 3. Whether it has to be verified.
//! 4. How long it has been out.

mod rules;
mod span;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use rules::{Approval, Date, DateError, Exception, Pattern, PatternError, Rules, ScriptRule};
pub use span::{Span, SpanError};

use crate::Integrity;
use crate::verdict::Verdict;

/// What to do. Ordered by strictness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Go on.
    Allow,
    /// Say so and ask; where nobody can be asked, deny.
    Warn,
    /// Stop.
    Deny,
}

/// What a line of a policy is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Rule {
    /// What is denied whatever anybody writes.
    Fixed,
    /// Names 3pm knows nothing of.
    NotEnrolled,
    /// Versions from before the claim.
    Legacy,
    /// Versions of an enrolled package that nobody signed.
    Unrecorded,
    /// Verified, with a member's warning.
    Flagged,
    /// What does not come from a registry: git, URL, file, link.
    NonRegistry,
    /// Packages that have to be verified.
    Required,
    /// Versions that have not been out for the minimum release age.
    YoungRelease,
    /// Install scripts.
    Scripts,
}

/// Who wrote a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Origin {
    /// Nobody: it holds where nothing else is said.
    BuiltIn,
    /// The user's configuration.
    User,
    /// A file of the project, by its path.
    Project(String),
}

/// One line of a policy and what it comes to for one package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// What it is about.
    pub rule: Rule,
    /// Who wrote it.
    pub origin: Origin,
    /// What it wants done.
    pub action: Action,
    /// Why it says so here, where that is not the line alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// What is known of one package, as far as a policy asks.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// Its name.
    pub name: &'a str,
    /// What was found out.
    pub known: Known<'a>,
    /// Whether a configured registry serves it.
    pub from_registry: bool,
    /// When it was released.
    pub released: Released,
}

/// What was found out.
#[derive(Debug, Clone, Copy)]
pub enum Known<'a> {
    /// Judged.
    Judged(&'a Verdict),
    /// There is no trust network to ask.
    NotAsked,
    /// It comes from elsewhere than a registry, and is not judged.
    Elsewhere,
}

/// When a version was released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Released {
    /// Unix seconds: of the record on chain, else as the registry says.
    At(u64),
    /// Nobody says.
    Unknown,
    /// Nobody was asked, which is right only where no minimum is set.
    NotAsked,
}

/// The rules of one run.
#[derive(Debug, Clone)]
pub struct Policy {
    user: Rules,
    projects: Vec<(String, Rules)>,
    now: u64,
}

/// Holds where neither the user nor the project says anything.
pub const BUILT_IN: [(Rule, Action); 6] = [
    (Rule::NotEnrolled, Action::Allow),
    (Rule::Legacy, Action::Allow),
    (Rule::Unrecorded, Action::Deny),
    (Rule::Flagged, Action::Warn),
    (Rule::NonRegistry, Action::Warn),
    (Rule::YoungRelease, Action::Deny),
];

impl Policy {
    /// `user`'s rules and those of `projects`, each with the path of its file, as they hold at `now` (Unix seconds).
    #[must_use]
    pub fn new(user: Rules, projects: Vec<(String, Rules)>, now: u64) -> Self {
        Self { user, projects, now }
    }

    /// The line that decides about `case`: the strictest, of several the first.
    #[must_use]
    pub fn decide(&self, case: &Case<'_>) -> Line {
        let lines = self.lines(case).into_iter();
        let strictest = lines.reduce(|best, line| if line.action > best.action { line } else { best });
        let nothing =
            Line { rule: Rule::Fixed, origin: Origin::BuiltIn, action: Action::Allow, because: None };
        strictest.unwrap_or(nothing)
    }

    /// Every line that has something to say about `case`, in the order of the steps.
    #[must_use]
    pub fn lines(&self, case: &Case<'_>) -> Vec<Line> {
        let mut lines = Vec::new();
        for (origin, rules) in self.layers() {
            let layer = Layer { origin, rules, now: self.now };
            lines.extend(layer.verdict(case));
            lines.extend(layer.source(case));
            lines.extend(layer.required(case));
            lines.extend(layer.age(case));
        }
        lines
    }

    /// What holds for `rule`, whatever package it is: the strictest line about it.
    #[must_use]
    pub fn effective(&self, rule: Rule) -> Option<Line> {
        let lines =
            self.layers().filter_map(|(origin, rules)| Layer { origin, rules, now: self.now }.line(rule));
        lines.reduce(|best, line| if line.action > best.action { line } else { best })
    }

    /// Whether install scripts of a package run, and the line that decided. `integrity` is that of its checked
    /// tarball, which holds the scripts and every file of the package that they run.
    #[must_use]
    pub fn decide_script(&self, name: &str, integrity: Option<Integrity>, is_verified: bool) -> Line {
        let mut decided: Option<Line> = None;
        for (origin, rules) in self.layers() {
            let origin =
                if rules.scripts.is_none() && origin == Origin::User { Origin::BuiltIn } else { origin };
            let approved = rules
                .approved_scripts
                .iter()
                .any(|approval| approval.package.as_str() == name && Some(approval.integrity) == integrity);
            let (action, because) = match rules.scripts.unwrap_or(ScriptRule::Allow) {
                ScriptRule::Allow => (Action::Allow, None),
                _ if approved => (Action::Allow, Some("these bytes are approved".to_owned())),
                ScriptRule::Verified if is_verified => {
                    (Action::Allow, Some("its bytes are signed".to_owned()))
                }
                ScriptRule::Verified => {
                    (Action::Deny, Some("it is neither verified nor approved".to_owned()))
                }
                ScriptRule::Deny => (Action::Deny, Some("these bytes are not approved".to_owned())),
            };
            if decided.as_ref().is_none_or(|decided| action > decided.action) {
                decided = Some(Line { rule: Rule::Scripts, origin, action, because });
            }
        }
        let nothing =
            Line { rule: Rule::Scripts, origin: Origin::BuiltIn, action: Action::Allow, because: None };
        decided.unwrap_or(nothing)
    }

    /// Whether any layer holds install scripts back.
    #[must_use]
    pub fn restricts_scripts(&self) -> bool {
        self.layers().any(|(_, rules)| !matches!(rules.scripts, None | Some(ScriptRule::Allow)))
    }

    /// Whether it matters how long versions have been out.
    #[must_use]
    pub fn asks_release_age(&self) -> bool {
        self.layers().any(|(_, rules)| rules.minimum_release_age.is_some_and(|minimum| minimum.seconds() > 0))
    }

    /// Seconds for which kept records may stand in for a chain that does not answer; `default` where nobody says,
    /// and 0 for not at all.
    #[must_use]
    pub fn offline_seconds(&self, default: u64) -> u64 {
        let user = self.user.offline.map_or(default, Span::seconds);
        let projects = self.projects.iter().filter_map(|(_, rules)| rules.offline.map(Span::seconds));
        projects.fold(user, u64::min)
    }

    /// What is done about sources that are no registry, before it is known which packages those are: an exception for
    /// one leaves it to a person whether to look at all of them.
    #[must_use]
    pub fn non_registry(&self) -> Action {
        let actions = self.layers().filter_map(|(origin, rules)| {
            let layer = Layer { origin, rules, now: self.now };
            let action = layer.line(Rule::NonRegistry)?.action;
            let mut exceptions = rules.exceptions.iter();
            let open = exceptions.any(|e| e.rule == Rule::NonRegistry && !e.until.is_over(self.now));
            Some(if open { action.min(Action::Warn) } else { action })
        });
        actions.max().unwrap_or(Action::Warn)
    }

    /// Whether an exception has ended.
    #[must_use]
    pub fn is_over(&self, exception: &Exception) -> bool {
        exception.until.is_over(self.now)
    }

    /// The rules as they were written, each with who wrote them: the user's first.
    pub fn layers(&self) -> impl Iterator<Item = (Origin, &Rules)> {
        let projects = self.projects.iter().map(|(path, rules)| (Origin::Project(path.clone()), rules));
        std::iter::once((Origin::User, &self.user)).chain(projects)
    }
}

/// One layer while it is asked.
struct Layer<'a> {
    origin: Origin,
    rules: &'a Rules,
    now: u64,
}

impl Layer<'_> {
    /// The line of this layer about `rule`; what is built in belongs to the user's.
    fn line(&self, rule: Rule) -> Option<Line> {
        let built_in = || BUILT_IN.iter().find(|(built_in, _)| *built_in == rule).map(|(_, action)| *action);
        let asks_age = self.rules.minimum_release_age.is_some();
        let (origin, action) = match self.rules.action(rule) {
            // It belongs to the minimum of its layer.
            _ if rule == Rule::YoungRelease && !asks_age => return None,
            Some(action) => (self.origin.clone(), action),
            None if rule == Rule::YoungRelease => (self.origin.clone(), built_in()?),
            None if self.origin == Origin::User => (Origin::BuiltIn, built_in()?),
            None => return None,
        };
        Some(Line { rule, origin, action, because: None })
    }

    /// `line`, unless an exception of this layer covers the package.
    fn excepted(&self, line: Line, name: &str) -> Line {
        if line.action == Action::Allow {
            return line;
        }
        let covering =
            self.rules.exceptions.iter().filter(|e| e.rule == line.rule && e.package.matches(name));
        let mut because = line.because.clone();
        for exception in covering {
            if exception.until.is_over(self.now) {
                let ended = format!("an exception for {} ended on {}", exception.package, exception.until);
                because = Some(because.map_or(ended.clone(), |because| format!("{because}; {ended}")));
                continue;
            }
            let reason = exception.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
            let because = format!("excepted until {}{reason}", exception.until);
            return Line {
                origin: self.origin.clone(),
                action: Action::Allow,
                because: Some(because),
                ..line
            };
        }
        Line { because, ..line }
    }

    /// Step 1.
    fn verdict(&self, case: &Case<'_>) -> Option<Line> {
        let Known::Judged(verdict) = case.known else { return None };
        let rule = match verdict {
            Verdict::Verified(_) => return None,
            Verdict::Legacy => Rule::Legacy,
            Verdict::NotEnrolled => Rule::NotEnrolled,
            Verdict::Unrecorded => Rule::Unrecorded,
            Verdict::Flagged { .. } => Rule::Flagged,
            Verdict::Mismatch(_) | Verdict::Revoked | Verdict::Vetoed | Verdict::Cooling { .. } => {
                let because = Some("no policy allows this".to_owned());
                let built_in = self.origin == Origin::User;
                let line = Line { rule: Rule::Fixed, origin: Origin::BuiltIn, action: Action::Deny, because };
                return built_in.then_some(line);
            }
        };
        self.line(rule).map(|line| self.excepted(line, case.name))
    }

    /// Step 2. Signed bytes are the signed bytes, whoever serves them.
    fn source(&self, case: &Case<'_>) -> Option<Line> {
        let vouched = Verdict::is_vouched_for;
        if case.from_registry || matches!(case.known, Known::Judged(verdict) if vouched(verdict)) {
            return None;
        }
        self.line(Rule::NonRegistry).map(|line| self.excepted(line, case.name))
    }

    /// Step 3. What a member warns of is signed; the warning has a line of its own.
    fn required(&self, case: &Case<'_>) -> Option<Line> {
        let signed = matches!(case.known, Known::Judged(Verdict::Verified(_) | Verdict::Flagged { .. }));
        let pattern = self.rules.required.iter().find(|pattern| pattern.matches(case.name))?;
        if signed {
            return None;
        }
        let because = Some(format!("{pattern} has to be verified"));
        let line = Line { rule: Rule::Required, origin: self.origin.clone(), action: Action::Deny, because };
        Some(self.excepted(line, case.name))
    }

    /// Step 4.
    fn age(&self, case: &Case<'_>) -> Option<Line> {
        let minimum = self.rules.minimum_release_age.filter(|minimum| minimum.seconds() > 0)?;
        if matches!(case.known, Known::Elsewhere) {
            return None;
        }
        let because = match case.released {
            Released::At(at) if self.now.saturating_sub(at) >= minimum.seconds() => return None,
            Released::At(at) => {
                let age = Span::from_seconds(self.now.saturating_sub(at));
                format!("released {age} ago, and the minimum is {minimum}")
            }
            Released::Unknown | Released::NotAsked => {
                format!("nobody says when it was released, and the minimum is {minimum}")
            }
        };
        let line = self.line(Rule::YoungRelease)?;
        Some(self.excepted(Line { because: Some(because), ..line }, case.name))
    }
}

impl Rule {
    /// Its key in a policy.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::NotEnrolled => "notEnrolled",
            Self::Legacy => "legacy",
            Self::Unrecorded => "unrecorded",
            Self::Flagged => "flagged",
            Self::NonRegistry => "nonRegistry",
            Self::Required => "required",
            Self::YoungRelease => "youngRelease",
            Self::Scripts => "scripts",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built in"),
            Self::User => f.write_str("the user's config.json"),
            Self::Project(path) => f.write_str(path),
        }
    }
}

#[cfg(test)]
mod tests;
