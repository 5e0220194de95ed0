//! `3pm policy`: the rules that hold here, why they decide as they do, and approvals of install scripts. Judges
//! nothing: verdicts and decisions are made where installs get theirs.

mod explain;
mod scripts;

use serde_json::json;
use trust::policy::{BUILT_IN, Line, Origin, Policy, ScriptRule, Span};
use trust::text::printable;

use crate::args::PolicyCommand;
use crate::context::Context;
use crate::errors::Outcome;
use crate::exit;
use crate::freshness::Offline;
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
    let (scripts, offline) = (scripts(&policy), offline(&policy));
    let document = json!({
        "effective": lines,
        "scripts": {"value": scripts.0, "origin": scripts.1},
        "offline": {"value": offline.0, "origin": offline.1},
        "layers": layers,
    });
    context.output.result(&document, |page| render(page, &policy, &lines));
    Ok(exit::FINE)
}

fn render(page: &mut Page, policy: &Policy, lines: &[Line]) {
    page.title("What is done about what is found");
    for line in lines {
        page.line(&format!("  {:<20} {:<8} {}", line.rule.key(), word(line), line.origin));
    }
    let (whose, for_how_long) = (scripts(policy), offline(policy));
    for (key, value, origin) in
        [("scripts", in_its_word(whose.0), whose.1), ("offline", for_how_long.0.to_string(), for_how_long.1)]
    {
        page.line(&format!("  {key:<20} {value:<8} {origin}"));
    }
    for (origin, rules) in policy.layers() {
        let mut row = |key: &str, value: &str| page.line(&format!("  {key:<20} {value}  {origin}"));
        for pattern in &rules.required {
            row("required", &pattern.to_string());
        }
        if let Some(minimum) = rules.minimum_release_age {
            row("minimumReleaseAge", &minimum.to_string());
        }
        for approval in &rules.approved_scripts {
            let version = approval.version.as_deref().unwrap_or("*");
            row("approvedScripts", &printable(&format!("{}@{version}", approval.package.as_str()), 300));
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

/// Whose install scripts run, and who says so: the strictest layer.
fn scripts(policy: &Policy) -> (ScriptRule, Origin) {
    let written = policy.layers().filter_map(|(origin, rules)| Some((rules.scripts?, origin)));
    let strictest = written.reduce(|best, other| if other.0 > best.0 { other } else { best });
    strictest.unwrap_or((ScriptRule::Allow, Origin::BuiltIn))
}

/// How old kept records may be, and who says so: the shortest time, of which the user's may be longer than the built-in.
fn offline(policy: &Policy) -> (Span, Origin) {
    let built_in = Offline::DEFAULT_AGE.as_secs();
    let holds = policy.offline_seconds(built_in);
    let says_so =
        policy.layers().find(|(_, rules)| rules.offline.is_some_and(|span| span.seconds() == holds));
    (Span::from_seconds(holds), says_so.map_or(Origin::BuiltIn, |(origin, _)| origin))
}

fn in_its_word(rule: ScriptRule) -> String {
    serde_json::to_value(rule).ok().and_then(|word| Some(word.as_str()?.to_owned())).unwrap_or_default()
}

/// What a line wants done, in its own word.
fn word(line: &Line) -> &'static str {
    match line.action {
        trust::policy::Action::Allow => "allow",
        trust::policy::Action::Warn => "warn",
        trust::policy::Action::Deny => "deny",
    }
}
