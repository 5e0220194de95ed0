//! The hook in real shells: an alias that works, written once, gone without a trace.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::desk::{Desk, Ended};

/// A shell, its startup file, and how it is made to run a line as if typed.
const SHELLS: [(&str, &str, &[&str]); 3] = [
    ("bash", ".bashrc", &["-ic"]),
    ("zsh", ".zshrc", &["-ic"]),
    ("fish", ".config/fish/conf.d/3pm.fish", &["-ic"]),
];

/// Whether a shell is here; says so where it is not. bash always must be.
fn is_here(shell: &str) -> bool {
    let here = Command::new(shell).args(["-c", "true"]).status().is_ok_and(|status| status.success());
    assert!(here || shell != "bash", "bash is not here");
    if !here {
        // Past the test runner, which keeps what a passing test prints to itself.
        let said = format!("NOT TESTED: {shell} is not installed here (apt-get install {shell})\n");
        std::io::stderr().write_all(said.as_bytes()).expect("standard error");
    }
    here
}

fn typed(desk: &Desk, shell: &str, flags: &[&str], line: &str) -> Ended {
    let arguments: Vec<&str> = flags.iter().copied().chain([line]).collect();
    desk.types(shell, &arguments)
}

#[test]
fn in_every_shell_npm_means_3pm_and_afterwards_npm_again() {
    for (shell, file, flags) in SHELLS {
        if !is_here(shell) {
            continue;
        }
        let desk = Desk::new();
        desk.program("fake/npm", "echo real npm got \"$@\"");
        let fake = desk.at("fake");
        let desk = desk.first_on_path(fake);
        // A startup file as people have them: no newline at the end, and a mode of its own.
        let path = (shell != "fish").then(|| desk.write(file, "# mine\nMINE=1"));
        if let Some(path) = &path {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o640)).unwrap();
        }
        desk.types("3pm", &["init", "--hook", "--shell", shell]).with(0, &["the hook is written"]);
        let written = std::fs::read(desk.at(file)).unwrap();
        desk.types("3pm", &["init", "--hook", "--shell", shell]).with(0, &["there already"]);
        assert_eq!(std::fs::read(desk.at(file)).unwrap(), written, "{shell}: written twice");
        assert_eq!(mode(&desk.at(file)), if path.is_some() { 0o640 } else { 0o644 }, "{shell}");

        let refused = typed(&desk, shell, flags, "npm install -g x");
        assert!(refused.stderr.contains("3pm cannot check that"), "{shell}: {refused:?}");
        assert!(!refused.stdout.contains("real npm"), "{shell}: {refused:?}");
        let passed = typed(&desk, shell, flags, "npm run 'a b'; npx --version; command npm install -g x");
        assert!(passed.stdout.contains("real npm got run a b\n"), "{shell}: {passed:?}");
        assert!(passed.stdout.contains("real npm got install -g x\n"), "{shell}: {passed:?}");
        // Scripts see the plain program.
        let script = typed(&desk, shell, &["-c"], "npm install -g x");
        assert!(script.stdout.contains("real npm got install -g x"), "{shell}: {script:?}");

        let forget = if shell == "fish" { "functions -e npm" } else { "unalias npm" };
        desk.types("3pm", &["init", "--undo"]).with(0, &["the hook is gone", forget]);
        desk.types("3pm", &["init", "--undo"]).with(0, &["there was no hook"]);
        match &path {
            Some(path) => {
                assert_eq!(std::fs::read_to_string(path).unwrap(), "# mine\nMINE=1", "{shell}");
                assert_eq!(mode(path), 0o640, "{shell}");
            }
            None => assert!(!desk.at(file).exists(), "{shell}"),
        }
        assert!(!desk.at(&format!("{file}.3pm-backup")).exists(), "{shell}");
        let plain = typed(&desk, shell, flags, "npm install -g x");
        assert!(plain.stdout.contains("real npm got install -g x"), "{shell}: {plain:?}");
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_link_into_somebodys_dotfiles_stays_a_link() {
    let desk = Desk::new();
    let target = desk.write("dotfiles/bashrc", "export MINE=1\n");
    std::os::unix::fs::symlink("dotfiles/bashrc", desk.at(".bashrc")).unwrap();
    desk.types("3pm", &["init", "--hook"]).with(0, &[".bashrc.3pm-backup"]);
    assert!(desk.at(".bashrc").symlink_metadata().unwrap().is_symlink());
    assert!(std::fs::read_to_string(&target).unwrap().contains("alias npm='3pm npm-intercept'"));
    assert_eq!(std::fs::read_to_string(desk.at(".bashrc.3pm-backup")).unwrap(), "export MINE=1\n");
    desk.types("3pm", &["init", "--undo", "--shell", "bash"]).with(0, &["gone"]);
    assert!(desk.at(".bashrc").symlink_metadata().unwrap().is_symlink());
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "export MINE=1\n");
    // One that leads nowhere is left alone.
    std::fs::remove_file(&target).unwrap();
    desk.types("3pm", &["init", "--hook"]).with(1, &["cannot be changed"]);
    assert!(!target.exists());
}

#[test]
fn zsh_and_fish_are_found_where_they_were_moved_to() {
    let desk = Desk::new();
    let moved = desk.at("moved");
    let variables = [("ZDOTDIR", moved.as_path()), ("XDG_CONFIG_HOME", moved.as_path())];
    desk.types_with("3pm", &["init", "--hook", "--shell", "zsh", "--shell", "fish"], &variables).with(0, &[]);
    assert!(desk.at("moved/.zshrc").is_file() && desk.at("moved/fish/conf.d/3pm.fish").is_file());
    assert!(!desk.at(".zshrc").exists() && !desk.at(".bashrc").exists());
    desk.types_with("3pm", &["init", "--undo"], &variables).with(0, &[]);
    assert!(!desk.at("moved/.zshrc").exists());
}

#[test]
fn nobody_is_asked_where_nobody_is_and_nothing_is_written_unasked() {
    let desk = Desk::new();
    let network = ["init", "--network", "local", "--rpc-url", "http://127.0.0.1:1"];
    let address = "0x00000000000000000000000000000000000000aa";
    let contracts = ["--name-registry", address, "--package-registry", address];
    let all: Vec<&str> = network.into_iter().chain(contracts).collect();
    desk.types("3pm", &all).with(0, &["network local is in use"]);
    assert!(!desk.at(".bashrc").exists());
    let with: Vec<&str> = all.iter().copied().chain(["--hook"]).collect();
    desk.types("3pm", &with).with(0, &["network local is in use", "the hook is written"]);
    assert!(desk.at(".bashrc").is_file());
    desk.types("3pm", &["init", "--hook", "--no-hook"]).with(2, &[]);
    desk.types_with("3pm", &["init", "--hook"], &[("SHELL", "/bin/tcsh".as_ref())])
        .with(2, &["--shell bash|zsh|fish"]);
}
