//! `3pm doctor`: what is installed, hooked, reachable and misconfigured, with what to type for each. All checks
//! run at once, none longer than its limit. Changes nothing.

mod disk;
mod hooks;
mod network;
mod policy;
mod programs;
mod settings;

use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use serde::Serialize;
use trust::text::printable;

use crate::context::Context;
use crate::errors::Outcome;
use crate::exit;
use crate::output::Page;

/// How long one check may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Columns of the names.
const NAME_WIDTH: usize = 18;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    /// As it should be, or of no consequence.
    Ok,
    /// Works, and deserves a look.
    Warn,
    /// Does not work, or does not protect.
    Fail,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    area: &'static str,
    name: String,
    level: Level,
    says: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Finding {
    fn new(area: &'static str, name: impl Into<String>, level: Level, says: impl AsRef<str>) -> Self {
        Self { area, name: name.into(), level, says: printable(says.as_ref(), 300), fix: None }
    }

    fn ok(area: &'static str, name: impl Into<String>, says: impl AsRef<str>) -> Self {
        Self::new(area, name, Level::Ok, says)
    }

    fn warn(area: &'static str, name: impl Into<String>, says: impl AsRef<str>) -> Self {
        Self::new(area, name, Level::Warn, says)
    }

    fn fail(area: &'static str, name: impl Into<String>, says: impl AsRef<str>) -> Self {
        Self::new(area, name, Level::Fail, says)
    }

    fn fix(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }
}

/// All of them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    level: Level,
    findings: Vec<Finding>,
}

/// A check on its way.
type Check<'a> = BoxFuture<'a, Vec<Finding>>;

/// Looks at everything.
pub(crate) async fn run(context: &Context) -> Outcome {
    let progress = context.output.progress("looking");
    let checks = [
        programs::checks(),
        hooks::checks(context),
        network::checks(context),
        settings::checks(context),
        policy::checks(context),
        disk::checks(context),
    ];
    let findings: Vec<Finding> = join_all(checks.into_iter().flatten()).await.into_iter().flatten().collect();
    drop(progress);
    let level = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
    let report = Report { level, findings };
    context.output.result(&report, |page| render(&report, page));
    Ok(if level == Level::Fail { exit::UNKNOWN } else { exit::FINE })
}

/// A check within the limit.
fn limited<'a>(
    area: &'static str,
    name: impl Into<String>,
    check: impl Future<Output = Vec<Finding>> + Send + 'a,
) -> Check<'a> {
    let name = name.into();
    async move {
        let late = |_| vec![Finding::fail(area, name, format!("no answer within {} s", LIMIT.as_secs()))];
        tokio::time::timeout(LIMIT, check).await.unwrap_or_else(late)
    }
    .boxed()
}

fn render(report: &Report, page: &mut Page) {
    let mut area = "";
    for finding in &report.findings {
        if area != finding.area {
            if !area.is_empty() {
                page.gap();
            }
            area = finding.area;
            page.title(area);
        }
        let line = |level: &str| format!("  {level}  {:<NAME_WIDTH$} {}", finding.name, finding.says);
        match finding.level {
            Level::Ok => page.line(&line("ok  ")),
            Level::Warn => page.warn(&line("warn")),
            Level::Fail => page.bad(&line("fail")),
        }
        if let Some(fix) = &finding.fix {
            page.next(fix);
        }
    }
    let count = |level: Level| report.findings.iter().filter(|finding| finding.level == level).count();
    page.gap();
    let sum = format!("{} fail, {} warn, {} ok", count(Level::Fail), count(Level::Warn), count(Level::Ok));
    match report.level {
        Level::Ok => page.good(&sum),
        Level::Warn => page.warn(&sum),
        Level::Fail => page.bad(&sum),
    }
}
