//! `3pm policy`: the rules that hold here, why they decide as they do, and approvals of install scripts. Judges
//! nothing: verdicts and decisions are made where installs get theirs.

mod explain;
mod scripts;

use serde_json::json;
use trust::policy::{BUILT_IN, Line, Policy};
use trust::text::printable;

use crate::args::PolicyCommand;
use crate::context::Context;
use crate::errors::Outcome;
use crate::exit;
use crate::output::Page;

/// Runs it.
pub(crate) async fn run(context: &Context, command: PolicyCommand) -> Outcome {
    match command {
        PolicyCommand::Show => show(context),
        PolicyCommand::Explain(args) => explain::run(context, &args).await,
        PolicyCommand::Scripts => scripts::list(context),
        PolicyCommand::Approve(args) => scripts::approve(context, &args),
    }
}

fn show(context: &Context) -> Outcome {
    let policy = context.policy(&std::env::current_dir()?)?;
    let lines: Vec<Line> = BUILT_IN.iter().filter_map(|(rule, _)| policy.effective(*rule)).collect();
    let layers: Vec<_> =
        policy.layers().map(|(origin, rules)| json!({"origin": origin, "rules": rules})).collect();
    let document = json!({"effective": lines, "layers": layers});
    context.output.result(&document, |page| render(page, &policy, &lines));
    Ok(exit::FINE)
}

fn render(page: &mut Page, policy: &Policy, lines: &[Line]) {
    page.title("What is done about what is found");
    for line in lines {
        page.line(&format!("  {:<20} {:<8} {}", line.rule.key(), word(line), line.origin));
    }
    for (origin, rules) in policy.layers() {
        let mut row = |key: &str, value: &str| page.line(&format!("  {key:<20} {value}  {origin}"));
        for pattern in &rules.required {
            row("required", &pattern.to_string());
        }
        if let Some(minimum) = rules.minimum_release_age {
            row("minimumReleaseAge", &minimum.to_string());
        }
        if let Some(scripts) = rules.scripts {
            let word = serde_json::to_value(scripts).unwrap_or_default();
            row("scripts", word.as_str().unwrap_or_default());
        }
        for approval in &rules.approved_scripts {
            let version = approval.version.as_deref().unwrap_or("*");
            row("approvedScripts", &printable(&format!("{}@{version}", approval.package.as_str()), 300));
        }
        if let Some(offline) = rules.offline {
            row("offline", &offline.to_string());
        }
        for exception in &rules.exceptions {
            let reason = exception.reason.as_deref().map(|reason| format!(" ({})", printable(reason, 200)));
            let state = if policy.is_over(exception) { "ended" } else { "until" };
            let what = format!(
                "{} for {}, {state} {}{}",
                exception.rule.key(),
                exception.package,
                exception.until,
                reason.unwrap_or_default()
            );
            row("exceptions", &what);
        }
    }
    page.next("3pm policy explain PACKAGE");
}

/// What a line wants done, in its own word.
fn word(line: &Line) -> &'static str {
    match line.action {
        trust::policy::Action::Allow => "allow",
        trust::policy::Action::Warn => "warn",
        trust::policy::Action::Deny => "deny",
    }
}
