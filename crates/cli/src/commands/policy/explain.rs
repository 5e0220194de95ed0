//! `3pm policy explain`: what is known of a package, every line that has something to say about it, and the one that
//! decides. Installs nothing.

use serde_json::{Value, json};
use trust::policy::{Action, Line, Rule};
use trust::text::printable;

use super::word;
use crate::args::ExplainArgs;
use crate::context::Context;
use crate::errors::{Explain as _, Failure, Outcome};
use crate::exit;
use crate::install::assess::{self, Finding};
use crate::install::decision::{case, in_words};
use crate::install::entries::Source;
use crate::install::errors::FlowError;
use crate::install::report::{Report, headline};
use crate::install::{self, scripted, verify};
use crate::output::Page;

/// Runs it.
pub(crate) async fn run(context: &Context, args: &ExplainArgs) -> Outcome {
    let around = install::surroundings(context)?;
    let progress = context.output.progress("checking");
    let (name, has_version) = split(&args.package);
    // What the lockfile has is what an install would bring; a version that is asked for may be another.
    let mut report = match has_version {
        true => None,
        false => match verify::verify_project(&around, &|| context.now()).await {
            Ok(report) => Some(report).filter(|report| !about(report, name).is_empty()),
            Err(FlowError::NothingToCheck { .. }) => None,
            Err(error) => return Err(install::failure(error, &around.again)),
        },
    };
    if report.is_none() {
        let packages = [args.package.clone()];
        report = Some(
            verify::verify_packages(&packages, &around, &|| context.now())
                .await
                .map_err(|error| install::failure(error, &around.again))
                .while_doing(format!("it is not known what {} is", printable(&args.package, 300)))?,
        );
    }
    drop(progress);
    let Some(report) = report else { return Err(Failure::usage("nothing was found out")) };
    let found = about(&report, name);
    if found.is_empty() {
        return Err(Failure::usage(format!("{} is not among what it would bring", args.package))
            .hint("name it as npm install takes it: a name, or name@version"));
    }
    let document: Vec<Value> = found.iter().map(|finding| document(finding, &report)).collect();
    context.output.result(&document, |page| {
        for finding in &found {
            render(page, finding, &report);
        }
    });
    Ok(exit::FINE)
}

/// The name in `name`, `name@version`, `@scope/name` and `@scope/name@version`, and whether a version follows.
fn split(package: &str) -> (&str, bool) {
    match package.char_indices().skip(1).find(|(_, letter)| *letter == '@') {
        Some((at, _)) => (package.get(..at).unwrap_or(package), true),
        None => (package, false),
    }
}

fn about<'a>(report: &'a Report, name: &str) -> Vec<&'a Finding> {
    report.assessment.findings.iter().filter(|finding| finding.subject.name == name).collect()
}

/// Every line about a finding, that on its install scripts last.
fn lines(finding: &Finding, report: &Report) -> (Vec<Line>, Option<Line>, Line) {
    let case = case(finding);
    let lines = case.as_ref().map(|case| report.policy.lines(case)).unwrap_or_default();
    let decided_by = case.map(|case| report.policy.decide(&case));
    let integrity = match &finding.subject.source {
        Ok(Source::Tarball(tarball)) => Some(tarball.integrity),
        _ => None,
    };
    let scripts = scripted::decide(&report.policy, Some(finding), &finding.subject.name, integrity);
    (lines, decided_by, scripts)
}

fn document(finding: &Finding, report: &Report) -> Value {
    let (lines, decided_by, scripts) = lines(finding, report);
    json!({
        "name": finding.subject.name,
        "version": finding.subject.version,
        "location": finding.subject.location,
        "outcome": assess::kind(&finding.outcome),
        "lines": lines,
        "decidedBy": decided_by,
        "scripts": scripts,
    })
}

fn render(page: &mut Page, finding: &Finding, report: &Report) {
    let (lines, decided_by, scripts) = lines(finding, report);
    page.title(&headline(finding));
    for line in &lines {
        let because = line.because.as_ref().map(|because| format!("  {because}")).unwrap_or_default();
        page.line(&format!("  {:<14} {:<8} {}{because}", line.rule.key(), word(line), line.origin));
    }
    match decided_by {
        None => page.line("  The policy has no say in this."),
        Some(line) if line.action == Action::Allow && line.rule == Rule::Fixed && lines.is_empty() => {
            page.good("  Allowed: nothing stands against it.")
        }
        Some(line) if line.action == Action::Allow => page.good(&format!("  {}", sentence(&line))),
        Some(line) if line.action == Action::Warn => page.warn(&format!("  {}", sentence(&line))),
        Some(line) => page.bad(&format!("  {}", sentence(&line))),
    }
    let run = if scripts.action == Action::Allow { "may run" } else { "do not run" };
    page.line(&format!("  Its install scripts, if it has any, {run}: {}.", in_words(&scripts)));
}

fn sentence(line: &Line) -> String {
    let words = in_words(line);
    let mut letters = words.chars();
    match letters.next() {
        Some(first) => format!("{}{}.", first.to_ascii_uppercase(), letters.as_str()),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_no_version() {
        for (package, name, has_version) in
            [("ms", "ms", false), ("ms@2", "ms", true), ("@a/b", "@a/b", false), ("@a/b@^1", "@a/b", true)]
        {
            assert_eq!(split(package), (name, has_version));
        }
    }
}
