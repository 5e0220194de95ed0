//! What to type so that the same run goes on with one more flag of 3pm's. Behind the hook and the shims every flag is
//! the package manager's, so there it is a whole command. Runs nothing.

use std::ffi::OsString;

use crate::args::{ExecArgs, RunWithArgs};
use crate::shell::quoted;

/// How a run was typed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Typed {
    /// With all of its flags at hand.
    #[default]
    Itself,
    /// As `3pm install` and the like, which have those about warnings.
    Short,
    /// As a package manager's own command.
    Theirs,
}

/// The run, to be typed again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Again {
    typed: Typed,
    front: String,
    behind: String,
    in_project: bool,
}

impl Again {
    /// `3pm run-with`.
    pub(crate) fn of_run(args: &RunWithArgs) -> Self {
        let flags = [
            (args.own.question.yes, "--yes"),
            (args.own.dry_run, "--dry-run"),
            (args.own.ignore_scripts, "--ignore-scripts"),
            (args.allow_project_code, "--allow-project-code"),
        ];
        let given = flags.iter().filter(|(given, _)| *given).map(|(_, flag)| format!(" {flag}"));
        let front = format!("3pm run-with {}{}", args.manager.as_str(), given.collect::<String>());
        Self {
            typed: args.typed,
            front,
            behind: format!("--{}", in_words(&args.arguments)),
            in_project: true,
        }
    }

    /// `3pm exec`.
    pub(crate) fn of_exec(args: &ExecArgs) -> Self {
        let scripts = if args.ignore_scripts { " --ignore-scripts" } else { "" };
        let packages: String =
            args.package.iter().map(|package| format!("--package {} ", quoted(package))).collect();
        let behind = format!("{packages}-- {}{}", quoted(&args.command), in_words(&args.arguments));
        Self { typed: args.typed, front: format!("3pm exec{scripts}"), behind, in_project: false }
    }

    /// What became of the project when nothing came of the run, where there is one.
    pub(crate) fn put_back(&self) -> Option<&'static str> {
        self.in_project.then_some("the project was put back")
    }

    /// How warnings are accepted.
    pub(crate) fn accepting(&self) -> String {
        match self.typed {
            Typed::Itself | Typed::Short => "repeat with --yes to accept warnings once".to_owned(),
            Typed::Theirs => self.with("--yes"),
        }
    }

    /// How code of the project is let run.
    pub(crate) fn running_project_code(&self) -> String {
        match self.typed {
            Typed::Itself => "repeat with --allow-project-code".to_owned(),
            Typed::Short | Typed::Theirs => self.with("--allow-project-code"),
        }
    }

    fn with(&self, flag: &str) -> String {
        format!("{} {flag} {}", self.front, self.behind)
    }
}

fn in_words(arguments: &[OsString]) -> String {
    arguments.iter().map(|argument| format!(" {}", quoted(&argument.to_string_lossy()))).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Arguments, Command, ManagerName, OwnArgs, QuestionArgs};

    #[test]
    fn what_is_to_be_typed_is_the_same_run_with_one_more_flag() {
        let run = |typed, yes| {
            let own = OwnArgs { question: QuestionArgs { yes, deny: false }, ..OwnArgs::default() };
            let arguments = ["add", "a@^1", "it's"].map(OsString::from).into();
            let manager = ManagerName::Yarn;
            Again::of_run(&RunWithArgs { manager, own, allow_project_code: false, arguments, typed })
        };
        for typed in [Typed::Itself, Typed::Short] {
            assert_eq!(run(typed, false).accepting(), "repeat with --yes to accept warnings once");
        }
        assert_eq!(run(Typed::Itself, true).running_project_code(), "repeat with --allow-project-code");
        let theirs = run(Typed::Theirs, false).accepting();
        assert_eq!(theirs, r"3pm run-with yarn --yes -- add 'a@^1' 'it'\''s'");
        let short = run(Typed::Short, true).running_project_code();
        assert_eq!(short, r"3pm run-with yarn --yes --allow-project-code -- add 'a@^1' 'it'\''s'");
        let exec = Arguments::try_parse_from("3pm exec --package p@1 c -x".split(' ')).unwrap().command;
        let Command::Exec(args) = exec else { panic!("{exec:?}") };
        let said = Again::of_exec(&ExecArgs { typed: Typed::Theirs, ..args }).accepting();
        assert_eq!(
            (run(Typed::Itself, false).put_back().is_some(), Again::default().put_back()),
            (true, None)
        );
        assert_eq!(said, "3pm exec --yes --package p@1 -- c -x");
        let again = Arguments::try_parse_from(said.split(' ')).unwrap().command;
        let Command::Exec(args) = again else { panic!("{again:?}") };
        assert!(args.question.yes && args.command == "c" && args.arguments == ["-x"]);
    }
}
