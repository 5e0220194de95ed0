//! The command line as people type it.

use clap::{CommandFactory as _, Parser as _};

use super::*;
use trust::PackageName;

fn parse(line: &str) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(line.split_whitespace())
}

#[test]
fn the_definition_holds_together_and_every_command_shows_examples() {
    let mut command = Arguments::command();
    command.clone().debug_assert();
    command.build();
    let mut open: Vec<&clap::Command> = command.get_subcommands().collect();
    while let Some(subcommand) = open.pop() {
        if subcommand.has_subcommands() {
            open.extend(subcommand.get_subcommands());
        } else if !subcommand.is_hide_set() {
            let after = subcommand.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.starts_with("Examples:\n"), "{} has no examples", subcommand.get_name());
        }
    }
}

#[test]
fn global_flags_stand_before_or_after_the_command() {
    for line in ["3pm --json --network base status left-pad", "3pm status left-pad --json --network base"] {
        let arguments = parse(line).unwrap();
        assert!(arguments.global.json);
        assert_eq!(arguments.global.network.as_deref(), Some("base"));
    }
}

#[test]
fn a_target_is_a_package_a_release_or_an_id() {
    let check = |text: &str, expected: Result<Target, &str>| {
        let found = text.parse::<Target>();
        match expected {
            Ok(expected) => assert_eq!(found, Ok(expected), "{text}"),
            Err(part) => {
                let found = found.unwrap_err();
                assert!(found.contains(part), "{text}: {found:?} should say {part:?}");
            }
        }
    };
    let name = |text: &str| text.parse::<PackageName>().unwrap();
    check("left-pad", Ok(Target::Package(name("left-pad"))));
    check("@acme/tool", Ok(Target::Package(name("@acme/tool"))));
    check("left-pad@1.2.3", Ok(Target::Release(name("left-pad"), "1.2.3".parse().unwrap())));
    check("@acme/tool@1.2.3-rc.1", Ok(Target::Release(name("@acme/tool"), "1.2.3-rc.1".parse().unwrap())));
    let id = format!("0x{}", "ab".repeat(32));
    check(&id, Ok(Target::Id(id.parse().unwrap())));
    check(&format!("0x{}", "zz".repeat(32)), Err("64 hex digits"));
    check("left-pad@latest", Err("SemVer"));
    check("@acme", Err("malformed"));
    check("", Err("bytes"));
}

#[test]
fn an_address_with_a_wrong_digit_is_refused_where_its_case_can_tell() {
    let good = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
    assert!(parse(&format!("3pm team add left-pad {good}")).is_ok());
    assert!(parse(&format!("3pm team add left-pad {}", good.to_lowercase())).is_ok());
    for bad in [&good.replace("F39", "F38").replace("f39", "f38"), &good[..41], &good[2..]] {
        assert!(parse(&format!("3pm team add left-pad {bad}")).is_err(), "{bad}");
    }
}

#[test]
fn contradictions_and_secrets_in_arguments_are_refused() {
    for line in [
        "3pm approve left-pad@1.0.0 --submit --no-submit",
        "3pm publish . --tarball a.tgz",
        "3pm publish --deadline-days 31",
        "3pm publish --deadline-days 0",
        "3pm register-token left-pad npm_secret",
        "3pm register-token left-pad --token npm_secret",
        "3pm coordinator serve",
        "3pm",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}

#[test]
fn waiting_has_a_limit_and_takes_no_word_of_its_neighbours() {
    let wait = |line: &str| match parse(line).unwrap().command {
        Command::Submit(args) => args.wait,
        other => panic!("{other:?}"),
    };
    assert_eq!(wait("3pm submit left-pad@1.0.0"), None);
    assert_eq!(wait("3pm submit --wait left-pad@1.0.0"), Some(120));
    assert_eq!(wait("3pm submit left-pad@1.0.0 --wait=7"), Some(7));
}

#[test]
fn what_every_command_takes_is_ours_wherever_it_stands() {
    let check = |typed: &str, expected: &str| {
        let words = typed.split(' ').map(OsString::from).collect();
        assert_eq!(own_first(words).join(std::ffi::OsStr::new(" ")), *expected);
    };
    check("3pm add left-pad --json -D", "3pm add --json left-pad -D");
    check("3pm --quiet install a --help", "3pm --quiet install --help a");
    check("3pm ci -- --json", "3pm ci -- --json");
    check("3pm exec install --json", "3pm exec install --json");
    check("3pm verify add --json", "3pm verify add --json");
    check("3pm --network local install x --json", "3pm --network local install --json x");
    check("3pm --color never -q install x --yes", "3pm --color never -q install --yes x");
    check("3pm install x --network local -D", "3pm install --network local x -D");
    check(
        "3pm add x --color=never --network=a -- --network b",
        "3pm add --color=never --network=a x -- --network b",
    );
    check("3pm update x --dry-run --ignore-scripts", "3pm update --dry-run --ignore-scripts x");
    check("3pm --network install status x --json", "3pm --network install status x --json");
    check("3pm --network install", "3pm --network install");
    check("3pm", "3pm");
    check("3pm help", "3pm --help");
    check("3pm help team add", "3pm team add --help");
}

#[test]
fn what_is_missing_or_contradicts_itself_behind_a_package_is_said_as_in_front_of_it() {
    let error = |line: &str| {
        let words = own_first(line.split(' ').map(OsString::from).collect());
        Arguments::try_parse_from(words).unwrap_err().to_string()
    };
    for command in ["install", "ci", "add", "update"] {
        for end in ["", " --json", " -- y"] {
            let said = error(&format!("3pm {command} x --network{end}"));
            assert!(said.contains("a value is required for '--network <NAME>'"), "{command}{end}: {said}");
        }
        let said = error(&format!("3pm {command} x --yes --deny"));
        assert!(said.contains("'--yes' cannot be used with '--deny'"), "{command}: {said}");
    }
    let arguments = Arguments::try_parse_from(own_first(
        "3pm add x --save-dev --yes --color never".split(' ').map(OsString::from).collect(),
    ));
    let arguments = arguments.unwrap();
    assert_eq!(arguments.global.color, Color::Never);
    let Command::Add(args) = arguments.command else { panic!("{:?}", arguments.command) };
    assert!(args.own.question.yes && !args.own.dry_run);
    assert_eq!(args.arguments, ["x", "--save-dev"].map(OsString::from));
}

#[test]
fn what_clap_proposes_is_a_hint_in_its_own_words() {
    let error = parse("3pm instal x").unwrap_err();
    let said = serde_json::to_string(&usage_failure(&error).document()).unwrap();
    assert!(said.contains("'install'") && !said.contains("tip:"), "{said}");
}

#[test]
fn commands_that_install_list_what_is_ours() {
    for command in ["install", "ci", "add", "update", "run-with"] {
        let help = parse(&format!("3pm {command} --help")).unwrap_err().to_string();
        for flag in ["--yes", "--deny", "--dry-run", "--ignore-scripts"] {
            assert!(help.contains(flag), "{command} {flag}: {help}");
        }
    }
}
