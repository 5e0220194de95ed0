//! Shims: written once, in front, never over what is somebody else's.

use std::os::unix::fs::PermissionsExt as _;

use crate::desk::Desk;

#[test]
fn a_shim_leads_to_the_real_program_and_not_to_itself() {
    let desk = Desk::new();
    let installed = desk.types("3pm", &["shims", "install"]).with(0, &["export PATH="]);
    assert!(installed.stdout.contains(&desk.at(".3pm/shims").display().to_string()), "{installed:?}");
    let path = desk.types("3pm", &["shims", "path"]).with(0, &[]);
    let folder = desk.at(".3pm/shims");
    assert_eq!(path.stdout.trim(), folder.display().to_string());
    desk.types("3pm", &["shims", "install"]).with(0, &["there already"]);
    let plain = desk.types("npm", &["--version"]).with(0, &[]);
    let desk = desk.first_on_path(folder.clone());
    // By their names, as a script would.
    let shimmed =
        desk.types("sh", &["-c", "command -v npm; npm --version; npm i -g x; echo code $?"]).with(0, &[]);
    let npm = folder.join("npm").display().to_string();
    let expected = format!("{npm}\n{}code 4\n", plain.stdout);
    assert_eq!(shimmed.stdout, expected, "{shimmed:?}");
    assert!(shimmed.stderr.contains("3pm cannot check that"), "{shimmed:?}");
    // A copy of the folder elsewhere on the PATH is skipped as well.
    desk.types("3pm", &["shims", "install", "--dir", "copies"]).with(0, &[]);
    let copies = desk.at("copies");
    let desk = desk.first_on_path(copies);
    assert_eq!(desk.types("npm", &["--version"]).with(0, &[]).stdout, plain.stdout);
    desk.types("3pm", &["shims", "remove"]).with(0, &["gone"]);
    assert!(!folder.exists());
}

#[test]
fn what_is_not_ours_stays_as_it_is() {
    let desk = Desk::new();
    let theirs = desk.program("tools/yarn", "echo theirs");
    let refused = desk.types("3pm", &["shims", "install", "--dir", "tools"]);
    refused.with(4, &["is not a shim of 3pm; nothing was written"]);
    assert_eq!(std::fs::read_to_string(&theirs).unwrap(), "#!/bin/sh\necho theirs\n");
    assert!(!desk.at("tools/npm").exists());
    desk.types("3pm", &["shims", "remove", "--dir", "tools"]).with(0, &["there were no shims"]);
    assert!(theirs.exists());
    // A link that leads nowhere is somebody's too.
    std::fs::create_dir(desk.at("links")).unwrap();
    std::os::unix::fs::symlink("nowhere", desk.at("links/npm")).unwrap();
    desk.types("3pm", &["shims", "install", "--dir", "links"]).with(4, &["is not a shim"]);
}

#[test]
fn a_workflow_is_told_once() {
    let desk = Desk::new();
    let file = desk.write("github-path", "somewhere");
    let variables = [("GITHUB_PATH", file.as_path())];
    for _ in 0..2 {
        desk.types_with("3pm", &["shims", "install"], &variables).with(0, &["GITHUB_PATH"]);
        let expected = format!("somewhere\n{}\n", desk.at(".3pm/shims").display());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), expected);
    }
    let mode = std::fs::metadata(desk.at(".3pm/shims/npm")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
}
